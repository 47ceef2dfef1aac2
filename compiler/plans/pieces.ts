/**
 * Reductions of pieces of a product's result, each inside of a tile (fusion/pieces.ts): invocations reduce the elements that
 * they hold, and those of a piece add up through workgroup memory. One of them stores what is made of it.
 */
import { attrList } from '../ops/index.ts';
import type { TiledProductPlan } from './product-tiled/plan.ts';
import { ZERO, type Index } from '../kernel/index-map.ts';
import { forwardIndex, reducer, reshapeIndex } from '../kernel/inline.ts';
import type { Expr, SharedArray } from '../kernel/ir.ts';
import { builtins, byDepth, storeResults, type Site } from './common.ts';

/** Replaces an element of the product, in the invocation's own memory, by the root's there. */
export function holdRoot(
  { b, inline, region }: Site,
  index: readonly Index[],
  product: Expr,
  { array, at }: { array: SharedArray; at: Expr },
): void {
  const { root, views, anchor } = region;
  inline.given.delete(root);
  inline.given.set(anchor!, () => product);
  const value = b.bind(root.name ?? root.op, inline.value(root, forwardIndex(inline.ix, views, index)));
  b.storeShared(array, at, value);
  inline.given.set(root, () => value);
}

/** What an invocation holds: the root's elements row by row, and where they are in the product. */
interface Held {
  readonly tile: SharedArray;
  place(row: Index, column: Index): Index[];
}

export function reducePieces(site: Site, { side, perThread: p, rolled }: TiledProductPlan, held: Held): void {
  const { b, inline, region, outputs } = site;
  const { ix } = inline;
  const { reductions, rows, columns } = region.pieces!;
  const [across, down] = [columns / p, rows / p];
  const [threadRow, threadColumn] = ix.divmod(ix.atom(builtins(b).lane, side * side - 1), side);
  const [pieceRow, y] = ix.divmod(threadRow, down);
  const [pieceColumn, x] = ix.divmod(threadColumn, across);
  // The invocations of a piece lie side by side in what they share.
  const sharers = across * down;
  const first = ix.scale(ix.add(ix.scale(pieceRow, side / across), pieceColumn), sharers);
  const own = ix.add(ix.scale(y, across), x);
  const reduced = reductions[0].inputs[0].type.shape;
  const indexOf = (row: Index, column: Index) =>
    reshapeIndex(ix, forwardIndex(ix, region.views, held.place(row, column)), region.root.type.shape, reduced);
  for (const reduction of byDepth(region, reductions).flat()) {
    const { neutral, combine, type } = reducer(b, reduction);
    const partial = b.variable('part', neutral);
    const add = (c: Expr, r: Expr) => {
      const at = b.binary('+', b.binary('*', r, b.u32(p)), c);
      inline.given.set(region.root, () => b.bind('value', b.loadShared(held.tile, at)));
      const value = inline.value(reduction.inputs[0], indexOf(ix.atom(r, p - 1), ix.atom(c, p - 1)));
      b.assign(partial, combine(b.read(partial), value));
    };
    b.loop('c', p, (c) => b.loop('r', p, (r) => add(c, r), rolled), rolled);
    const parts = b.sharedArray('parts', side * side, type);
    b.storeShared(parts, ix.expr(ix.add(first, own)), b.read(partial));
    b.barrier();
    // Each adds them all up for itself, in the same order: that costs less than the barriers between halves would.
    const sum = b.variable('sum', neutral);
    const addPart = (i: Expr) =>
      b.assign(sum, combine(b.read(sum), b.loadShared(parts, ix.expr(ix.add(first, ix.atom(i, sharers - 1))))));
    b.loop('i', sharers, addPart, rolled);
    const total = b.bind(reduction.name ?? 'piece', b.read(sum));
    inline.given.set(reduction, () => total);
  }
  const axes = attrList(reductions[0].attrs, 'axes');
  const index = indexOf(ZERO, ZERO).map((i, axis) => (axes.includes(axis) ? ZERO : i));
  const stored = outputs.filter(({ anchor }) => anchor === reductions[0]);
  b.when(b.binary('==', ix.expr(own), b.u32(0)), () => storeResults(site, index, stored));
}
