/**
 * Which partial reductions a product by square tiles computes beside its result: reductions of pieces that each lie inside of
 * a tile (fusion/pieces.ts), and sums over such pieces that a workgroup shares out evenly.
 */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { attrList, boxOf, keepsOrder } from '../ops/index.ts';
import type { Tile } from '../fusion/group.ts';

/** Invocations along each side of a square tile, and elements along each side of an invocation's block of it. */
export interface Tiles {
  readonly side: number;
  readonly perThread: number;
}

/** Where what a reduction reduces lies in the tiles of a product, as a piece of them or as a stretch of a row. */
export const partialTile = (reduction: Node, anchor: Node, views: readonly Node[], tiles: Tiles): Tile | undefined => {
  const { shape } = reduction.inputs[0].type;
  // Of a part, or of elements that repeat, a tile has not what is reduced just once.
  if (views.some((view) => boxOf(view)) || sizeOf(shape) !== sizeOf(anchor.type.shape)) return undefined;
  const axes = attrList(reduction.attrs, 'axes');
  return pieceTile(shape, axes, anchor, views, tiles) ?? stretchTile(shape, axes, anchor, views, tiles);
};

/** The same of rows that are stretches of the product's, as those of heads are; a tile has so many of them whole. */
function stretchTile(
  shape: Shape,
  axes: readonly number[],
  anchor: Node,
  views: readonly Node[],
  tiles: Tiles,
): Tile | undefined {
  const length = shape.at(-1)!;
  const isOfLast = axes.length === 1 && axes[0] === shape.length - 1;
  const columns = isOfLast && holdsStretches(length, tiles) ? stretchLength(anchor, views) : 0;
  return columns === length ? { rows: 1, columns: length } : undefined;
}

/** Whether a row of a tile is whole stretches, and each is so of several invocations' elements. */
export const holdsStretches = (length: number, { side, perThread }: Tiles): boolean =>
  (side * perThread) % length === 0 && length % perThread === 0;

const lastOf = ({ type: { shape } }: Node): number => shape.at(-1) ?? 1;

/** How many elements of a product's row lie side by side in the last axis of what is seen of it through views; 0: none. */
export function stretchLength(anchor: Node, views: readonly Node[]): number {
  let length = lastOf(anchor);
  for (const view of views) {
    const last = view.type.shape.length - 1;
    if (keepsOrder(view) && length % lastOf(view) === 0) length = lastOf(view);
    else if (!('perm' in view.attrs) || attrList(view.attrs, 'perm')[last] !== last) return 0;
  }
  return length;
}

/**
 * Where a piece lies in the tiles of the product whose kernel ends in the value, seen through `views`; undefined where it is not
 * inside of one. What is reduced is [… groups, channels, tiles of the plane, places of a tile], over channels and places.
 */
export function pieceTile(
  shape: Shape,
  axes: readonly number[],
  anchor: Node,
  views: readonly Node[],
  { side, perThread }: Tiles,
): Tile | undefined {
  const block = side * perThread;
  const kept = shape.length - 3;
  const [channels, tiles, places] = shape.slice(kept);
  const [m, n] = anchor.type.shape.slice(-2);
  const isWhole = m % block === 0 && n % block === 0 && places === block && block % channels === 0;
  if (!isWhole || channels % perThread !== 0 || String(axes) !== String([kept, kept + 2])) return undefined;
  const [permuted, ...more] = views.filter(({ op }) => op === 'permute');
  const plane = tiles * places;
  if (!permuted) return plane === n ? { rows: channels, columns: block } : undefined;
  const [height, width] = permuted.inputs[0].type.shape.slice(-2);
  const isTransposed = !more.length && swapsLast(permuted) && width === n && height === plane;
  return isTransposed ? { rows: block, columns: channels } : undefined;
}

function swapsLast({ attrs, type }: Node): boolean {
  const last = type.shape.length - 1;
  return attrList(attrs, 'perm').every((axis, i) => axis === (i < last - 1 ? i : 2 * last - 1 - i));
}

/** Whether the invocations of a workgroup divide evenly among the totals, to add up each together (row-statistics.ts). */
export const sharesTotals = ({ side }: Pick<Tiles, 'side'>, total: Node): boolean =>
  side ** 2 % sizeOf(total.type.shape) === 0;
