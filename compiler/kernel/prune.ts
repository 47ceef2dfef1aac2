/**
 * Drops the `let`s that nobody needs: those never read (an index taken apart for a part that turned out not to be needed, say),
 * and those that only name what the next statement stores.
 */
import type { Expr, Stmt } from './ir.ts';
import { childrenOf, isCollective, operandsOf, some } from './walk.ts';

export function withoutNeedlessLets(body: readonly Stmt[]): Stmt[] {
  return storedStraight(live(body, new Set()));
}

/** `let y = f(x); y_buffer[i] = y;` becomes `y_buffer[i] = f(x);`, where nothing else reads the name. */
function storedStraight(stmts: readonly Stmt[]): Stmt[] {
  const kept: Stmt[] = [];
  stmts.forEach((stmt, i) => {
    const before = kept[kept.length - 1];
    const stored = before?.kind === 'let' && storeOf(stmt, before) && withStored(stmt, before.value);
    if (stored && !isRead(before.name, [stored, ...stmts.slice(i + 1)])) kept.splice(-1, 1, stored);
    else kept.push('body' in stmt ? { ...stmt, body: storedStraight(stmt.body) } : stmt);
  });
  return kept;
}

type Store = Stmt & { kind: 'store' };

/** The store of a `let`'s value that a statement is, or that is all there is inside it. All lanes take part in what a subgroup does. */
function storeOf(stmt: Stmt, { name, value }: Stmt & { kind: 'let' }): Store | undefined {
  if (stmt.kind === 'store') return stmt.value.kind === 'name' && stmt.value.name === name ? stmt : undefined;
  if (stmt.kind !== 'if' || stmt.body.length !== 1 || some(value, isCollective)) return undefined;
  return storeOf(stmt.body[0], { kind: 'let', name, value });
}

const withStored = (stmt: Stmt, value: Expr): Stmt =>
  stmt.kind === 'if' ? { ...stmt, body: [withStored(stmt.body[0], value)] } : ({ ...stmt, value } as Store);

const isRead = (name: string, stmts: readonly Stmt[]): boolean => {
  const used = new Set<string>();
  live(stmts, used);
  return used.has(name);
};

/** A `let` is read only after it: from the last statement up, all readers of a name are known before it. */
function live(stmts: readonly Stmt[], used: Set<string>): Stmt[] {
  const kept: Stmt[] = [];
  for (const stmt of [...stmts].reverse()) {
    if (stmt.kind === 'let' && !used.has(stmt.name)) continue;
    const inner = 'body' in stmt ? { ...stmt, body: live(stmt.body, used) } : stmt;
    for (const expr of operandsOf(stmt)) markNames(expr, used);
    kept.push(inner);
  }
  return kept.reverse();
}

function markNames(expr: Expr, used: Set<string>): void {
  if (expr.kind === 'name') used.add(expr.name);
  for (const operand of childrenOf(expr)) markNames(operand, used);
}
