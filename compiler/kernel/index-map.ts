/**
 * Index arithmetic: sums of atoms times constants, with known ranges. Views turn indices of their result into indices of
 * their operand here, and most of the divisions a reshape asks for cancel: (72·h + e) / 72 = h when e < 72.
 */
import { stridesOf, type Shape } from '../ir/index.ts';
import type { Expr } from './ir.ts';
import type { KernelBuilder } from './builder.ts';

/** An unsigned quantity that is not a sum: a loop index, a lane, a quotient, a gathered row. */
export interface Atom {
  /** Equal keys mean equal values. */
  readonly key: string;
  /** Largest value it takes; the smallest is 0. */
  readonly max: number;
  readonly expr: Expr;
  /** When it is a quotient or a remainder: of what, by what. */
  readonly part?: { readonly of: Index; readonly by: number; readonly kind: 'quotient' | 'remainder' };
}

interface Term {
  readonly atom: Atom;
  readonly times: number;
}

/** base + Σ times·atom, never negative. */
export interface Index {
  readonly base: number;
  readonly terms: readonly Term[];
}

export const fixedIndex = (base: number): Index => ({ base, terms: [] });
export const ZERO = fixedIndex(0);

export const maxOf = ({ base, terms }: Index): number => terms.reduce((sum, t) => sum + t.times * t.atom.max, base);
export const keyOf = ({ base, terms }: Index): string =>
  terms
    .map((t) => `${t.times}*${t.atom.key}`)
    .sort()
    .join('+') + `+${base}`;

export class Indexer {
  readonly b: KernelBuilder;

  constructor(builder: KernelBuilder) {
    this.b = builder;
  }

  /** An index that is the expression itself, known to lie in [0, max] where this is written: under a condition, while it holds. */
  atom(expr: Expr, max: number): Index {
    return this.bounded(this.b.confined(expr), max);
  }

  /** The same of an expression that cannot lie elsewhere, whatever holds. */
  bounded(expr: Expr, max: number): Index {
    return max === 0 ? ZERO : { base: 0, terms: [{ atom: { key: `e${expr.id}`, max, expr }, times: 1 }] };
  }

  add(a: Index, b: Index): Index {
    const terms = new Map(a.terms.map((t) => [t.atom.key, t]));
    for (const t of b.terms) {
      const same = terms.get(t.atom.key);
      terms.set(t.atom.key, same ? { atom: t.atom, times: same.times + t.times } : t);
    }
    return { base: a.base + b.base, terms: [...terms.values()] };
  }

  offset = (a: Index, by: number): Index => ({ base: a.base + by, terms: a.terms });

  scale(a: Index, by: number): Index {
    if (by === 0) return ZERO;
    return { base: a.base * by, terms: a.terms.map((t) => ({ atom: t.atom, times: t.times * by })) };
  }

  /** ⌊a / d⌋ and a mod d. */
  divmod(a: Index, d: number): [Index, Index] {
    if (d === 1) return [a, ZERO];
    if (maxOf(a) < d) return [ZERO, a];
    // Multiples of d divide exactly; if the rest stays below d it is the remainder.
    const whole = a.terms.filter((t) => t.times % d === 0);
    const rest: Index = { base: a.base % d, terms: a.terms.filter((t) => t.times % d !== 0) };
    const quotient: Index = {
      base: Math.floor(a.base / d),
      terms: whole.map((t) => ({ atom: t.atom, times: t.times / d })),
    };
    if (maxOf(rest) < d) return [quotient, rest];
    const restExpr = this.b.bind('i', this.expr(rest));
    const part = (kind: 'quotient' | 'remainder', op: '/' | '%', max: number): Index => {
      const expr = this.b.binary(op, restExpr, this.b.u32(d));
      return {
        base: 0,
        terms: [{ atom: { key: `e${expr.id}`, max, expr, part: { of: rest, by: d, kind } }, times: 1 }],
      };
    };
    const high = part('quotient', '/', Math.floor(maxOf(rest) / d));
    return [this.add(quotient, high), part('remainder', '%', d - 1)];
  }

  /** Undoes divmod where quotient and remainder meet again: (i / d)·d·s + (i % d)·s is i·s. */
  private rejoin(index: Index): Index {
    for (const high of index.terms) {
      const part = high.atom.part;
      if (part?.kind !== 'quotient') continue;
      const low = index.terms.find((t) => {
        const other = t.atom.part;
        return other?.kind === 'remainder' && other.by === part.by && keyOf(other.of) === keyOf(part.of);
      });
      if (!low || high.times !== low.times * part.by) continue;
      const others = { base: index.base, terms: index.terms.filter((t) => t !== high && t !== low) };
      return this.rejoin(this.add(others, this.scale(part.of, low.times)));
    }
    return index;
  }

  /** Which four of elements `a` lies in and its place there, when the place is the same for every invocation. */
  fours({ base, terms }: Index): [four: Index, place: number] | undefined {
    if (terms.some((t) => t.times % 4 !== 0)) return undefined;
    const four = { base: Math.floor(base / 4), terms: terms.map((t) => ({ atom: t.atom, times: t.times / 4 })) };
    return [four, base % 4];
  }

  /** Row-major position of a multi-index. */
  flatten(index: readonly Index[], shape: Shape): Index {
    const strides = stridesOf(shape);
    return this.rejoin(index.reduce((sum, ix, i) => this.add(sum, this.scale(ix, strides[i])), ZERO));
  }

  /** Multi-index of a row-major position. */
  unflatten(flat: Index, shape: Shape): Index[] {
    const out: Index[] = [];
    let rest = flat;
    for (let i = shape.length - 1; i > 0; i--) {
      const [high, low] = this.divmod(rest, shape[i]);
      out.unshift(low);
      rest = high;
    }
    return shape.length ? [rest, ...out] : [];
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

  /** The index as an expression: outer-loop terms first, so that they are computed outside. */
  expr(index: Index): Expr {
    const terms = [...index.terms].sort((x, y) => x.atom.expr.level - y.atom.expr.level);
    let sum: Expr | undefined;
    const levels = terms.map((t) => t.atom.expr.level);
    terms.forEach((t, i) => {
      const term = t.times === 1 ? t.atom.expr : this.b.binary('*', t.atom.expr, this.b.u32(t.times));
      // The part known before this loop level is a value of its own.
      if (sum && sum.kind !== 'name' && levels[i] > levels[i - 1]) sum = this.b.bind('base', sum);
      sum = sum ? this.b.binary('+', sum, term) : term;
    });
    if (!sum) return this.b.u32(index.base);
    return index.base ? this.b.binary('+', sum, this.b.u32(index.base)) : sum;
  }
}
