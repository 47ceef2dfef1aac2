/**
 * What memory holds as f16 and is wanted as f16 is not read as f32 on the way.
 *
 * Before: let v = vec4f(x[i]); let a = vec4h(v)  After: let v = vec4f(x[i]); let a = x[i]
 * Before: vec4h(select(vec4f(0), v, inside))     After: select(vec4h(0), x[i], inside)
 */
import type { ElementType, Expr, Kernel, Stmt, VectorType } from '../ir.ts';
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
      return narrow(expr.of, expr.type as ElementType, loads) ?? expr;
    };
    const next = withOperands(
      stmt,
      operandsOf(stmt).map((expr) => mapExpr(expr, change)),
    );
    if (next.kind === 'let' && isNarrow(next.value)) loads.set(next.name, next.value);
    return 'body' in next ? { ...next, body: narrowed(next.body, loads) } : next;
  });
}

/** What an expression is as f16, where nothing is lost: what was read of memory so, zeros, and one of two of these. */
function narrow(of: Expr, type: ElementType, loads: ReadonlyMap<string, Load>): Expr | undefined {
  const load = of.kind === 'name' ? loads.get(of.name) : isNarrow(of) ? of : undefined;
  if (load) return { ...load, type };
  if (of.kind === 'literal') return of.value === 0 ? { ...of, type: 'f16' } : undefined;
  if (of.kind !== 'call') return undefined;
  const args = of.fn === 'select' ? of.args.slice(0, 2) : of.fn === 'vec4f' && of.args.length === 1 ? of.args : [];
  const narrowed = args.map((arg) => narrow(arg, of.fn === 'select' ? type : 'f16', loads));
  if (!args.length || narrowed.some((arg) => !arg)) return undefined;
  const fn = of.fn === 'select' ? of.fn : (type as VectorType);
  return { ...of, fn, args: [...(narrowed as Expr[]), ...of.args.slice(args.length)], type };
}

const isNarrow = (expr: Expr): expr is Load =>
  expr.kind === 'load' && expr.buffer.dtype === 'f16' && expr.buffer.access === 'read';
