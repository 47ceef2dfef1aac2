/**
 * Index arithmetic: sums of atoms times constants, with known ranges. Views turn indices of their result into indices of
 * their operand here, and most of the divisions a reshape asks for cancel: (72·h + e) / 72 = h when e < 72. What an atom is
 * besides a range is up to who calculates: an expression of a kernel, or nothing but a name (axes.ts).
 */
import { stridesOf, type Node, type Shape } from '../ir/index.ts';

/** An unsigned quantity that is not a sum: a loop index, a lane, a quotient, a gathered row. */
export interface Atom {
  /** Equal keys mean equal values. */
  readonly key: string;
  /** Largest value it takes; the smallest is 0. */
  readonly max: number;
  /** When it is a quotient or a remainder, or counts backwards. */
  readonly part?: Part<this>;
}

/** Of what, by what: a / by, a mod by, or by − a. */
export interface Part<A extends Atom> {
  readonly of: Affine<A>;
  readonly by: number;
  readonly kind: 'quotient' | 'remainder' | 'opposite';
}

interface Term<A extends Atom> {
  readonly atom: A;
  readonly times: number;
}

/** base + Σ times·atom, never negative. */
export interface Affine<A extends Atom> {
  readonly base: number;
  readonly terms: readonly Term<A>[];
}

export const fixedIndex = (base: number): Affine<never> => ({ base, terms: [] });
export const ZERO = fixedIndex(0);

export const maxOf = ({ base, terms }: Affine<Atom>): number =>
  terms.reduce((sum, t) => sum + t.times * t.atom.max, base);

export const keyOf = ({ base, terms }: Affine<Atom>): string =>
  terms
    .map((t) => `${t.times}*${t.atom.key}`)
    .sort()
    .join('+') + `+${base}`;

const gcd = (a: number, b: number): number => (b ? gcd(b, a % b) : a);

export const offset = <A extends Atom>(a: Affine<A>, by: number): Affine<A> => ({ base: a.base + by, terms: a.terms });

/** Calculates with indices made of one kind of atom. */
export abstract class IndexAlgebra<A extends Atom> {
  /** The atom that is such a part of an index; `max` is its largest value. */
  protected abstract partOf(part: Part<A>, max: number): A;

  /** An element of an integer value as an index, clamped to [0, last]. */
  abstract element(node: Node, index: readonly Affine<A>[], last: number): Affine<A>;

  add(a: Affine<A>, b: Affine<A>): Affine<A> {
    const terms = new Map(a.terms.map((t) => [t.atom.key, t]));
    for (const t of b.terms) {
      const same = terms.get(t.atom.key);
      terms.set(t.atom.key, same ? { atom: t.atom, times: same.times + t.times } : t);
    }
    return { base: a.base + b.base, terms: [...terms.values()] };
  }

  offset = offset;

  scale(a: Affine<A>, by: number): Affine<A> {
    if (by === 0) return ZERO;
    return { base: a.base * by, terms: a.terms.map((t) => ({ atom: t.atom, times: t.times * by })) };
  }

  /** last − a, of an index that is at most `last`. */
  opposite(a: Affine<A>, last: number): Affine<A> {
    const [only, ...others] = a.terms;
    if (!only) return fixedIndex(last - a.base);
    const { part } = only.atom;
    const isTwice = !others.length && a.base === 0 && only.times === 1 && part?.kind === 'opposite' && part.by === last;
    if (isTwice) return part.of;
    const atom = this.partOf({ of: a, by: last, kind: 'opposite' }, last - a.base);
    return { base: 0, terms: [{ atom, times: 1 }] };
  }

  /** ⌊a / d⌋ and a mod d. */
  divmod(a: Affine<A>, d: number): [Affine<A>, Affine<A>] {
    if (d === 1) return [a, ZERO];
    if (maxOf(a) < d) return [ZERO, a];
    // Multiples of d divide exactly; if the rest stays below d it is the remainder.
    const whole = a.terms.filter((t) => t.times % d === 0);
    const rest: Affine<A> = { base: a.base % d, terms: a.terms.filter((t) => t.times % d !== 0) };
    const quotient: Affine<A> = {
      base: Math.floor(a.base / d),
      terms: whole.map((t) => ({ atom: t.atom, times: t.times / d })),
    };
    if (maxOf(rest) < d) return [quotient, rest];
    const split = this.divmodByParts(rest, d);
    if (split) return [this.add(quotient, split[0]), split[1]];
    const part = (kind: Part<A>['kind'], max: number): Affine<A> => ({
      base: 0,
      terms: [{ atom: this.partOf({ of: rest, by: d, kind }, max), times: 1 }],
    });
    return [this.add(quotient, part('quotient', Math.floor(maxOf(rest) / d))), part('remainder', d - 1)];
  }

  /** Of g·h + low with low < g, and d a multiple of g: ⌊h / (d/g)⌋, and g·(h mod d/g) + low. What is small takes no part in it. */
  private divmodByParts({ base, terms }: Affine<A>, d: number): [Affine<A>, Affine<A>] | undefined {
    const factors = terms.map(({ times }) => gcd(times, d)).filter((g) => g > 1);
    for (const g of [...new Set(factors)].sort((x, y) => y - x)) {
      const low: Affine<A> = { base: base % g, terms: terms.filter((t) => t.times % g !== 0) };
      if (maxOf(low) >= g) continue;
      const high = terms.filter((t) => t.times % g === 0).map((t) => ({ atom: t.atom, times: t.times / g }));
      const [quotient, remainder] = this.divmod({ base: Math.floor(base / g), terms: high }, d / g);
      return [quotient, this.add(this.scale(remainder, g), low)];
    }
    return undefined;
  }

  /** Undoes divmod where quotient and remainder meet again: (i / d)·d·s + (i % d)·s is i·s. */
  private rejoin(index: Affine<A>): Affine<A> {
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

  /** Row-major position of a multi-index. */
  flatten(index: readonly Affine<A>[], shape: Shape): Affine<A> {
    const strides = stridesOf(shape);
    return this.rejoin(index.reduce<Affine<A>>((sum, ix, i) => this.add(sum, this.scale(ix, strides[i])), ZERO));
  }

  /** Multi-index of a row-major position. */
  unflatten(flat: Affine<A>, shape: Shape): Affine<A>[] {
    const out: Affine<A>[] = [];
    let rest = flat;
    for (let i = shape.length - 1; i > 0; i--) {
      const [high, low] = this.divmod(rest, shape[i]);
      out.unshift(low);
      rest = high;
    }
    return shape.length ? [rest, ...out] : [];
  }
}
