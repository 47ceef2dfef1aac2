/** The indices of kernels: sums of expressions times constants (ops/affine.ts), and back to expressions. */
import type { Node } from '../ir/index.ts';
import { IndexAlgebra, keyOf, maxOf, ZERO, type Affine, type Atom, type Part } from '../ops/index.ts';
import type { Expr } from './ir.ts';
import type { KernelBuilder } from './builder.ts';
import { BASE } from './passes/name-bases.ts';

export { fixedIndex, keyOf, maxOf, ZERO } from '../ops/index.ts';

export interface ExprAtom extends Atom {
  readonly expr: Expr;
}

export type Index = Affine<ExprAtom>;

function noValue(node: Node): never {
  throw new Error(`${node.op} is read as an index, and there are no values here`);
}

export class Indexer extends IndexAlgebra<ExprAtom> {
  readonly b: KernelBuilder;
  /** The value of an integer node, for indices that are data. */
  private readonly value: (node: Node, index: readonly Index[]) => Expr;

  constructor(builder: KernelBuilder, value: (node: Node, index: readonly Index[]) => Expr = noValue) {
    super();
    this.b = builder;
    this.value = value;
  }

  /** An index that is the expression itself, known to lie in [0, max] where this is written: under a condition, while it holds. */
  atom(expr: Expr, max: number): Index {
    return this.bounded(this.b.confined(expr), max);
  }

  /** The same of an expression that lies there wherever it is written, so that no condition has to be remembered with it. */
  bounded(expr: Expr, max: number): Index {
    return max === 0 ? ZERO : { base: 0, terms: [{ atom: { key: `e${expr.id}`, max, expr }, times: 1 }] };
  }

  protected partOf(part: Part<ExprAtom>, max: number): ExprAtom {
    const of = this.b.bind('i', this.expr(part.of));
    const by = this.b.u32(part.by);
    const expr =
      part.kind === 'opposite'
        ? this.b.binary('-', by, of)
        : this.b.binary(part.kind === 'quotient' ? '/' : '%', of, by);
    return { key: `e${expr.id}`, max, expr, part };
  }

  element(node: Node, index: readonly Index[], last: number): Index {
    const row = this.value(node, index);
    const positive = row.type === 'i32' ? this.b.call('max', [row, this.b.literal(0, 'i32')]) : row;
    const bounded = this.b.call('min', [this.b.convert(positive, 'u32'), this.b.u32(last)]);
    return this.bounded(this.b.bind('row', bounded), last);
  }

  /** Which four of elements `a` lies in and its place there, when the place is the same for every invocation. */
  fours({ base, terms }: Index): [four: Index, place: number] | undefined {
    if (terms.some((t) => t.times % 4 !== 0)) return undefined;
    const four = { base: Math.floor(base / 4), terms: terms.map((t) => ({ atom: t.atom, times: t.times / 4 })) };
    return [four, base % 4];
  }

  /** Which four that is, when the elements are all of one, in its order. */
  foursAt(elements: readonly Index[]): Index | undefined {
    const found = elements.map((element) => this.fours(element));
    const [first] = found;
    const isNext = (one: (typeof found)[number], i: number) => one?.[1] === i && keyOf(one[0]) === keyOf(first![0]);
    return found.every(isNext) ? first![0] : undefined;
  }

  /** min(a, limit): keeps an index of a partial tile inside its tensor. */
  clamp(a: Index, limit: number, hint: string): Index {
    if (maxOf(a) <= limit) return a;
    return this.bounded(this.b.bind(hint, this.b.call('min', [this.expr(a), this.b.u32(limit)])), limit);
  }

  /** clamp(a − low, 0, limit) for the inside of a pad or a piece of a concat. */
  shiftDown(a: Index, low: number, limit: number): Index {
    if (low === 0) return this.clamp(a, limit, 'inner');
    if (a.base >= low && maxOf(a) - low <= limit) return this.offset(a, -low);
    const raised = this.b.binary('-', this.b.call('max', [this.expr(a), this.b.u32(low)]), this.b.u32(low));
    const bounded = maxOf(a) - low > limit ? this.b.call('min', [raised, this.b.u32(limit)]) : raised;
    return this.bounded(this.b.bind('inner', bounded), limit);
  }

  /** a − low, of which it is known where this is written that it lies in [0, size). */
  inside(a: Index, low: number, size: number): Index {
    if (a.base >= low && maxOf(a) - low < size) return this.offset(a, -low);
    const lowered = low === 0 ? this.expr(a) : this.b.binary('-', this.expr(a), this.b.u32(low));
    return this.atom(low === 0 ? lowered : this.b.bind('inner', lowered), size - 1);
  }

  /** The index as an expression: outer-loop terms first, so that they are computed outside; equal indices are equal expressions. */
  expr(index: Index): Expr {
    const byLevel = (x: Expr, y: Expr) => x.level - y.level || x.id - y.id;
    const terms = [...index.terms].sort((s, t) => byLevel(s.atom.expr, t.atom.expr));
    let sum: Expr | undefined;
    const levels = terms.map((t) => t.atom.expr.level);
    terms.forEach((t, i) => {
      const term = t.times === 1 ? t.atom.expr : this.b.binary('*', t.atom.expr, this.b.u32(t.times));
      // The part known before this loop level is a value of its own.
      if (sum && sum.kind !== 'name' && levels[i] > levels[i - 1]) sum = this.b.bind(BASE, sum);
      sum = sum ? this.b.binary('+', sum, term) : term;
    });
    if (!sum) return this.b.u32(index.base);
    return index.base ? this.b.binary('+', sum, this.b.u32(index.base)) : sum;
  }
}
