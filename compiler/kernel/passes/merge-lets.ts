/**
 * What has a name already is called by it, as long as the name is known.
 *
 * Before: let a = lane / 8                       After: let a = lane / 8
 *         y[lane / 8] = x[lane / 8 + 1]                 y[a] = x[a + 1]
 */
import { attrsKey } from '../../ir/index.ts';
import type { Expr, Kernel, Stmt } from '../ir.ts';
import { childrenOf, isSteady, operandsOf, variablesIn, withChildren, withOperands } from '../walk.ts';

export function mergeLets(kernel: Kernel): Kernel {
  const merger = new Merger(variablesIn(kernel.body));
  return { ...kernel, body: merger.block(kernel.body, new Map()) };
}

/** Names of values, by the numbers of these. */
type Known = Map<number, Expr>;

class Merger {
  private readonly variables: ReadonlySet<string>;
  private readonly numbers = new Map<string, number>();
  private readonly numberOf = new WeakMap<Expr, number>();
  /** Second names of what has one. */
  private readonly renamed = new Map<string, Expr>();

  constructor(variables: ReadonlySet<string>) {
    this.variables = variables;
  }

  block(stmts: readonly Stmt[], outside: Known): Stmt[] {
    const known = new Map(outside);
    return stmts.flatMap((stmt): Stmt[] => {
      const next = withOperands(
        stmt,
        operandsOf(stmt).map((expr) => this.expr(expr, known)),
      );
      if ('body' in next) return [{ ...next, body: this.block(next.body, known) }];
      if (next.kind !== 'let' || !isSteady(next.value, this.variables)) return [next];
      const { name, value } = next;
      if (value.kind === 'name') {
        this.renamed.set(name, value);
        return [];
      }
      const call: Expr = { kind: 'name', name, type: value.type, id: value.id, level: value.level };
      const number = this.number(value);
      known.set(number, call);
      // The name counts as its value, so that what is made of either is the same.
      this.numbers.set(this.keyOf(call), number);
      return [next];
    });
  }

  /** Larger parts first: the name of all stands for what it is made of too. */
  private expr(expr: Expr, known: Known): Expr {
    if (expr.kind === 'name') return this.renamed.get(expr.name) ?? expr;
    if (expr.kind === 'literal') return expr;
    const made = withChildren(
      expr,
      childrenOf(expr).map((child) => this.expr(child, known)),
    );
    return known.get(this.number(made)) ?? made;
  }

  private keyOf = (expr: Expr): string =>
    [contentOf(expr), expr.type, ...childrenOf(expr).map((child) => this.number(child))].join(' ');

  /** Equal expressions have one number. */
  private number(expr: Expr): number {
    const known = this.numberOf.get(expr);
    if (known !== undefined) return known;
    const key = this.keyOf(expr);
    const number = this.numbers.get(key) ?? this.numbers.size;
    this.numbers.set(key, number);
    this.numberOf.set(expr, number);
    return number;
  }
}

/** What an expression is, besides its parts. */
function contentOf(expr: Expr): string {
  switch (expr.kind) {
    case 'literal':
      return `literal ${Object.is(expr.value, -0) ? '-0' : expr.value}`;
    case 'name':
      return `name ${expr.name}`;
    case 'binary':
      return `binary ${expr.op}`;
    case 'call':
      return `call ${expr.fn}`;
    case 'op':
      return `op ${expr.op} ${attrsKey(expr.attrs)}`;
    case 'load':
      return `load ${expr.buffer.name}`;
    case 'shared':
      return `shared ${expr.array.name}`;
    case 'component':
      return `component ${expr.lane}`;
    case 'convert':
      return expr.kind;
    case 'fill':
      return `fill ${expr.value}`;
    case 'loadFragment':
      return `fragment ${expr.array.name} ${expr.by}`;
  }
}
