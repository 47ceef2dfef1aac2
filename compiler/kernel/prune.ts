/** Drops the `let`s that nobody reads: an index taken apart for a part that turned out not to be needed, say. */
import type { Expr, Stmt } from './ir.ts';

export function withoutDeadLets(body: readonly Stmt[]): Stmt[] {
  return live(body, new Set());
}

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

function operandsOf(stmt: Stmt): readonly Expr[] {
  switch (stmt.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return [stmt.value];
    case 'if':
    case 'returnIf':
      return [stmt.condition];
    case 'store':
    case 'storeShared':
      return [stmt.index, stmt.value];
    case 'array':
      return stmt.values;
    default:
      return [];
  }
}

function markNames(expr: Expr, used: Set<string>): void {
  if (expr.kind === 'name') used.add(expr.name);
  for (const operand of childrenOf(expr)) markNames(operand, used);
}

export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'binary':
      return [expr.a, expr.b];
    case 'call':
    case 'op':
      return expr.args;
    case 'load':
    case 'shared':
      return [expr.index];
    case 'component':
    case 'convert':
      return [expr.of];
    default:
      return [];
  }
}
