/**
 * Lets that nothing reads go: an index taken apart for a part that turned out not to be needed, say. So do loops and conditions with
 * nothing in them.
 *
 * Before: let a = lane / 8; let b = a + 1; y[lane] = 0      After: y[lane] = 0
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { childrenOf, operandsOf } from '../walk.ts';

export const dropLets = (kernel: Kernel): Kernel => ({ ...kernel, body: live(kernel.body, new Set()) });

/** Whether statements read a name. */
export const isRead = (name: string, stmts: readonly Stmt[]): boolean => {
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
    if ('body' in inner && inner.body.every(({ kind }) => kind === 'comment')) continue;
    for (const expr of operandsOf(stmt)) markNames(expr, used);
    kept.push(inner);
  }
  return kept.reverse();
}

function markNames(expr: Expr, used: Set<string>): void {
  if (expr.kind === 'name') used.add(expr.name);
  for (const operand of childrenOf(expr)) markNames(operand, used);
}
