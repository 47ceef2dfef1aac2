/**
 * Loops of one round are written straight, their index as 0.
 *
 * Before: for i < 1 { y[i] = x[i] }              After: y[0] = x[0]
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { named, substitute } from '../walk.ts';

export const unroll = (kernel: Kernel): Kernel => ({ ...kernel, body: unrolled(kernel.body) });

const ZERO: Expr = { id: -1, level: 0, kind: 'literal', type: 'u32', value: 0 };

const unrolled = (stmts: readonly Stmt[]): Stmt[] =>
  stmts.flatMap((stmt) => {
    if (!('body' in stmt)) return [stmt];
    const body = unrolled(stmt.body);
    if (stmt.kind !== 'for' || stmt.count > 1) return [{ ...stmt, body }];
    return substitute(body, named(new Map([[stmt.index, ZERO]])));
  });
