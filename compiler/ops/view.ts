/**
 * What the record of a view says: where each element of the result is found; and that of a leaf. Kernels, passes and plans all
 * read it here.
 */
import type { Attrs, Node, Shape } from '../ir/index.ts';
import { ZERO, type Affine, type Atom, type IndexAlgebra } from './affine.ts';

/** A multi-index. */
export type Place<A extends Atom> = readonly Affine<A>[];

/** Where elements of the result come from. */
export interface Source<A extends Atom> {
  /** Which operand. */
  readonly operand: number;
  /** The operand's multi-index, along the axes with `bounds` counted from `from`. */
  readonly index: Place<A>;
  /** Where it holds; everywhere unless told. A source with a filler or others before it replaces these there. */
  readonly bounds?: readonly Bounds[];
}

/** `from` ≤ index < `to` along an axis of the operand; without `to`, what follows it begins where it ends. */
export interface Bounds {
  readonly axis: number;
  readonly from: number;
  readonly to?: number;
}

export interface ViewDef {
  /** Where the element of `view` at `index` comes from: later sources before earlier ones. */
  sources<A extends Atom>(ix: IndexAlgebra<A>, index: Place<A>, view: Node): readonly Source<A>[];
  /** What elements are that come from nowhere. */
  filler?(attrs: Attrs): number;
  /** Where every element of the operand is exactly once: the place of the operand's element at `index` in the result. */
  placeOf?<A extends Atom>(ix: IndexAlgebra<A>, index: Place<A>, view: Node): Place<A>;
  /** Where it shows a box of the operand and nothing else, each element once: where the box begins. */
  box?(attrs: Attrs): readonly number[] | undefined;
  /** Its operands lie one after the other along this axis, and nothing else is there. */
  joins?(attrs: Attrs): number;
  /** Which operand says, for each row of the result, which row of another it is, along its first axis unless told. */
  readonly rows?: { readonly index: number; readonly table: number; axis?(attrs: Attrs): number };
  /** The elements keep their row-major order: the same memory under another shape. */
  readonly keepsOrder?: true;
  /** Attributes that make a part of the result with `size` elements along `axis`, of the part of the operand that it shows. */
  narrowed?(attrs: Attrs, axis: number, size: number, type: { readonly shape: Shape }): Attrs;
}

export interface LeafDef {
  /** Its values come when it runs, from whoever calls: the compiler never knows them. */
  readonly isGiven?: true;
  /** Whether it lives in a buffer before anything runs. */
  isStored(attrs: Attrs): boolean;
  /** What it is at an index, where it is computed on the spot. */
  element?<A extends Atom>(attrs: Attrs, index: Place<A>): number | Affine<A>;
}

/** Index of an operand that broadcasts to the shape being indexed: its own axes, 0 where its size is 1. */
export function broadcastIndex<A extends Atom>(index: Place<A>, shape: Shape): Affine<A>[] {
  const lead = index.length - shape.length;
  return shape.map((n, i) => (n === 1 ? ZERO : index[lead + i]));
}

/**
 * Index in `to` of the element at `index` in `from`, both row-major. Axes that agree at the front or the back are kept,
 * so that only the part that is really reshaped pays for divisions.
 */
export function reshapeIndex<A extends Atom>(
  ix: IndexAlgebra<A>,
  index: Place<A>,
  from: Shape,
  to: Shape,
): Affine<A>[] {
  let front = 0;
  while (front < Math.min(from.length, to.length) && from[front] === to[front]) front++;
  const flat = ix.flatten(index.slice(front), from.slice(front));
  return [...index.slice(0, front), ...ix.unflatten(flat, to.slice(front))];
}
