/**
 * A value that only the next store reads needs no name.
 *
 * Before: let y = exp(x[lane]); out[lane] = y      After: out[lane] = exp(x[lane])
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { isCollective, some } from '../walk.ts';
import { isRead } from './drop-lets.ts';

export const inlineStores = (kernel: Kernel): Kernel => ({ ...kernel, body: storedStraight(kernel.body) });

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
