/**
 * What the ranges of indices decide: remainders and quotients, the nearest in bounds, conditions, choices. Floats are left alone.
 *
 * Before: let i = lane % 64                      After: y[lane] = x[lane], in a workgroup of 64
 *         if i < 64 { y[i] = x[min(i, 63)] }
 */
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { Ranges } from '../ranges.ts';
import { childrenOf, operandsOf, variablesIn, withChildren, withOperands } from '../walk.ts';

export const simplify = (kernel: Kernel): Kernel => {
  const simplifier = new Simplifier(variablesIn(kernel.body));
  return { ...kernel, body: simplifier.block(kernel.body, Ranges.inWorkgroup(kernel.workgroupSize)) };
};

class Simplifier {
  private readonly variables: ReadonlySet<string>;
  /** Names that only stand for another, or for a number. */
  private readonly values = new Map<string, Expr>();

  constructor(variables: ReadonlySet<string>) {
    this.variables = variables;
  }

  block(stmts: readonly Stmt[], from: Ranges): Stmt[] {
    let ranges = from;
    return stmts.flatMap((stmt) => {
      const known = ranges;
      const next = withOperands(
        stmt,
        operandsOf(stmt).map((expr) => this.expr(expr, known)),
      );
      ranges = known.after(next);
      return this.statement(next, known);
    });
  }

  private statement(stmt: Stmt, ranges: Ranges): Stmt[] {
    if (stmt.kind === 'let' && this.isPlain(stmt.value)) {
      this.values.set(stmt.name, stmt.value);
      return [];
    }
    if (stmt.kind === 'if' || stmt.kind === 'returnIf') {
      const holds = stmt.condition.kind === 'literal' ? Boolean(stmt.condition.value) : undefined;
      if (holds === false) return [];
      if (holds && stmt.kind === 'if') return this.block(stmt.body, ranges);
    }
    return 'body' in stmt ? [{ ...stmt, body: this.block(stmt.body, ranges.inside(stmt)) }] : [stmt];
  }

  private isPlain = (value: Expr): boolean =>
    value.kind === 'literal' || (value.kind === 'name' && !this.variables.has(value.name));

  private expr(expr: Expr, ranges: Ranges): Expr {
    const made = withChildren(
      expr,
      childrenOf(expr).map((child) => this.expr(child, ranges)),
    );
    if (made.kind === 'name') return this.values.get(made.name) ?? made;
    if (made.kind === 'binary') return made.type === 'bool' ? condition(made, ranges) : calculation(made, ranges);
    return made.kind === 'call' ? choice(made, ranges) : made;
  }
}

type Binary = Extract<Expr, { kind: 'binary' }>;

const literal = (value: number | boolean, { type, id, level }: Expr): Expr => ({
  kind: 'literal',
  value,
  type,
  id,
  level,
});

const isNumber = (expr: Expr, value: number): boolean => expr.kind === 'literal' && expr.value === value;

function condition(expr: Binary, ranges: Ranges): Expr {
  const { op, a, b } = expr;
  const truth = ranges.truth(expr);
  if (truth !== undefined) return literal(truth, expr);
  if (op !== '&&' && op !== '||') return expr;
  // `true && b` is b, as `false || b` is.
  const idle = op === '&&';
  if (ranges.truth(a) === idle) return b;
  return ranges.truth(b) === idle ? a : expr;
}

function calculation(expr: Binary, ranges: Ranges): Expr {
  const { op, a, b, type } = expr;
  if (type !== 'u32') return expr;
  const [[, most], [least]] = [ranges.rangeOf(a), ranges.rangeOf(b)];
  const [low, high] = ranges.rangeOf(expr);
  if (low === high) return literal(low, expr);
  if (op === '%' && most < least) return a;
  if ((op === '/' || op === '*') && isNumber(b, 1)) return a;
  if (op === '*' && isNumber(a, 1)) return b;
  if ((op === '+' || op === '-') && isNumber(b, 0)) return a;
  return op === '+' && isNumber(a, 0) ? b : expr;
}

function choice(expr: Extract<Expr, { kind: 'call' }>, ranges: Ranges): Expr {
  const [a, b, chooser] = expr.args;
  if (expr.fn === 'select') {
    if (a === b) return a;
    return chooser.kind === 'literal' ? (chooser.value ? b : a) : expr;
  }
  if (expr.type !== 'u32' || (expr.fn !== 'min' && expr.fn !== 'max')) return expr;
  const [lesser, greater] = expr.fn === 'min' ? [a, b] : [b, a];
  if (ranges.rangeOf(lesser)[1] <= ranges.rangeOf(greater)[0]) return a;
  return ranges.rangeOf(greater)[1] <= ranges.rangeOf(lesser)[0] ? b : expr;
}
