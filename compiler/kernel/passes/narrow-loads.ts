/**
 * What memory holds as f16 and is wanted as f16 is not read as f32 on the way.
 *
 * Before: let v = vec4f(x[i]); let a = vec4h(v)  After: let v = vec4f(x[i]); let a = x[i]
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { shapeOf } from '../types.ts';
import { mapExpr, operandsOf, withOperands } from '../walk.ts';

type Load = Extract<Expr, { kind: 'load' }>;

export const narrowLoads = (kernel: Kernel): Kernel => ({ ...kernel, body: narrowed(kernel.body, new Map()) });

/** `loads`: what names stand for that were read of f16 memory which nobody writes. */
function narrowed(stmts: readonly Stmt[], outside: ReadonlyMap<string, Load>): Stmt[] {
  const loads = new Map(outside);
  return stmts.map((stmt) => {
    const change = (expr: Expr): Expr => {
      if (expr.kind !== 'convert' || shapeOf(expr.type).of !== 'f16') return expr;
      const { of } = expr;
      const load = of.kind === 'name' ? loads.get(of.name) : isNarrow(of) ? of : undefined;
      return load ? { ...load, type: expr.type } : expr;
    };
    const next = withOperands(
      stmt,
      operandsOf(stmt).map((expr) => mapExpr(expr, change)),
    );
    if (next.kind === 'let' && isNarrow(next.value)) loads.set(next.name, next.value);
    return 'body' in next ? { ...next, body: narrowed(next.body, loads) } : next;
  });
}

const isNarrow = (expr: Expr): expr is Load =>
  expr.kind === 'load' && expr.buffer.dtype === 'f16' && expr.buffer.access === 'read';
