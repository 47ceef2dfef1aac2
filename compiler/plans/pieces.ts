/**
 * Reductions of pieces of a product's result, each inside of a tile (fusion/pieces.ts): invocations reduce the elements that
 * they hold, and those of a piece add up through workgroup memory. One of them stores what is made of it.
 */
import type { Node } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';
import type { TiledProductPlan } from './product-tiled/plan.ts';
import { ZERO, type Index } from '../kernel/index-map.ts';
import { forwardIndex, reducer, reshapeIndex } from '../kernel/inline.ts';
import type { Expr, SharedArray } from '../kernel/ir.ts';
import { builtins, range, storeResults, type Site } from './common.ts';
import { byDepth, byLength } from './rows.ts';

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
  /** Calls `body` where the element is one of the product's. */
  inside(row: Index, column: Index, body: () => void): void;
}

export function reducePieces(site: Site, plan: TiledProductPlan, held: Held): void {
  if (site.region.pieces!.rows === 1) return reduceStretches(site, plan, held);
  const { side, perThread: p, rolled } = plan;
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

/** The same of stretches of rows: invocations side by side have parts of them, and each goes on with its own elements of all its rows. */
function reduceStretches(site: Site, { side, perThread: p, rolled }: TiledProductPlan, held: Held): void {
  const { b, inline, region, outputs } = site;
  const { ix } = inline;
  const { reductions, columns } = region.pieces!;
  const sharers = columns / p;
  const [threadRow, threadColumn] = ix.divmod(ix.atom(builtins(b).lane, side * side - 1), side);
  const [stretch] = ix.divmod(threadColumn, sharers);
  const reduced = reductions[0].inputs[0].type.shape;
  const indexOf = (row: Index, column: Index) =>
    reshapeIndex(ix, forwardIndex(ix, region.views, held.place(row, column)), region.root.type.shape, reduced);
  const totals = new Map<Node, SharedArray>();
  /** Makes reads of the root and of what was reduced those of an element that the invocation holds. */
  const select = (r: Expr, c?: Expr) => {
    const value = (at: Expr) => () => b.bind('value', b.loadShared(held.tile, at));
    if (c) inline.given.set(region.root, value(b.binary('+', b.binary('*', r, b.u32(p)), c)));
    for (const [node, array] of totals)
      inline.given.set(node, () => b.bind(node.name ?? 'stretch', b.loadShared(array, r)));
  };
  const each = (name: string, body: (i: Expr) => void) => b.loop(name, p, body, rolled);
  const parts = b.sharedArray('parts', side * side * p, reducer(b, reductions[0]).type);
  const placeOf = (r: Expr, column: Index) =>
    ix.expr(ix.add(ix.scale(ix.add(ix.scale(threadRow, p), ix.atom(r, p - 1)), side), column));
  byDepth(region, reductions)
    .flat()
    .forEach((reduction, i) => {
      const { neutral, combine } = reducer(b, reduction);
      if (i > 0) b.barrier();
      each('r', (r) => {
        const partial = b.variable('part', neutral);
        each('c', (c) => {
          select(r, c);
          const value = inline.value(reduction.inputs[0], indexOf(ix.atom(r, p - 1), ix.atom(c, p - 1)));
          b.assign(partial, combine(b.read(partial), value));
        });
        b.storeShared(parts, placeOf(r, threadColumn), b.read(partial));
      });
      b.barrier();
      const array = b.privateArray(
        'total',
        range(p).map(() => neutral),
      );
      each('r', (r) => {
        const sum = b.variable('sum', neutral);
        const addPart = (k: Expr) => {
          const column = ix.add(ix.scale(stretch, sharers), ix.atom(k, sharers - 1));
          b.assign(sum, combine(b.read(sum), b.loadShared(parts, placeOf(r, column))));
        };
        b.loop('i', sharers, addPart, rolled);
        b.storeShared(array, r, b.read(sum));
      });
      totals.set(reduction, array);
    });
  const { long, short } = byLength(
    outputs.filter(({ anchor }) => anchor === reductions[0]),
    { ...region, reductions },
  );
  const isFirst = () => b.binary('==', ix.expr(threadColumn), ix.expr(ix.scale(stretch, sharers)));
  each('r', (r) => {
    const row = ix.atom(r, p - 1);
    select(r);
    const first = () => storeResults(site, indexOf(row, ZERO).with(-1, ZERO), short);
    if (short.length) b.when(isFirst(), () => held.inside(row, ZERO, first));
    each('c', (c) => {
      const column = ix.atom(c, p - 1);
      select(r, c);
      if (long.length) held.inside(row, column, () => storeResults(site, indexOf(row, column), long));
    });
  });
}
