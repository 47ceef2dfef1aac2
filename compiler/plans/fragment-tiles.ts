/**
 * Operand tiles that fragments are loaded from: rows of the left one, columns of the right one, each along k, as vectors of four in
 * workgroup memory. A driver loads such a fragment in few wide reads, where it takes a read an element of an array of scalars.
 */
import type { Index } from '../kernel/index-map.ts';
import type { Expr, SharedArray, VectorType } from '../kernel/ir.ts';
import { vec } from '../kernel/types.ts';
import { builtins, range, type Site } from './common.ts';
import { vectorAcrossK, vectorAlongK, type Source, type Steps } from './product-tiled-vec4/stage.ts';

/** One operand's tile; `load` and what it loads of are those of a source (product-tiled-vec4/stage.ts). */
export interface FragmentTile extends Source {
  readonly array: SharedArray;
  /** Rows or columns of the tile, and steps of k. */
  readonly block: number;
  readonly depth: number;
  /** Vectors from a row to the next. */
  readonly stride: number;
  /** Whether four elements along k lie side by side in memory; else four rows do. */
  readonly alongK: boolean;
}

/** Vectors of 16 bytes: what lies in between keeps rows out of each other's banks of workgroup memory. */
const paddingOf = (of: 'f16' | 'f32'): number => (of === 'f16' ? 2 : 1);

export const strideOf = (depth: number, of: 'f16' | 'f32'): number => depth / 4 + paddingOf(of);

export const bytesOfTile = (block: number, depth: number, of: 'f16' | 'f32'): number =>
  block * strideOf(depth, of) * (of === 'f16' ? 8 : 16);

/** The array of a tile. */
export const tileArray = ({ b }: Site, hint: string, block: number, depth: number, of: 'f16' | 'f32'): SharedArray =>
  b.sharedArray(hint, block * strideOf(depth, of), vec(of, 4));

/**
 * What an invocation takes of a tile at once: two vectors beside each other along k; across k four steps of one vector of rows, or of two
 * beside each other where all invocations have as many.
 */
interface RunShape {
  readonly steps: 1 | 4;
  readonly vectors: 1 | 2;
}

function runShape(block: number, depth: number, alongK: boolean, invocations: number): RunShape | undefined {
  const shapes: RunShape[] = alongK
    ? [{ steps: 1, vectors: 2 }]
    : [
        { steps: 4, vectors: 2 },
        { steps: 4, vectors: 1 },
      ];
  return shapes.find(({ steps, vectors }) => {
    const [along, across] = alongK ? [4 * vectors, 1] : [steps, 4 * vectors];
    return depth % along === 0 && block % across === 0 && (block * depth) % (4 * steps * vectors * invocations) === 0;
  });
}

/** Whether `invocations` share a tile evenly. */
export const sharesTile = (block: number, depth: number, alongK: boolean, invocations: number): boolean =>
  runShape(block, depth, alongK, invocations) !== undefined;

/** A run of a tile's vectors: at row i and those after it, at step 4·four of k and those after it. */
interface Run {
  readonly i: Index;
  readonly four: Index;
}

/** The runs of a tile that are this invocation's. */
function ownRuns({ b, inline: { ix } }: Site, tile: FragmentTile, invocations: number): Run[] {
  const { alongK, block, depth } = tile;
  const { steps, vectors } = runShape(block, depth, alongK, invocations)!;
  const runs = (block * depth) / (4 * steps * vectors * invocations);
  return range(runs).map((s) => {
    const position = ix.offset(ix.atom(builtins(b).lane, invocations - 1), s * invocations);
    if (alongK) {
      const [i, pair] = ix.divmod(position, depth / (4 * vectors));
      return { i, four: ix.scale(pair, vectors) };
    }
    const [four, rows] = ix.divmod(position, block / (4 * vectors));
    return { i: ix.scale(rows, 4 * vectors), four };
  });
}

/** This invocation's vectors of a tile, as they lie in memory. */
export const loadFragmentTile = (site: Site, tile: FragmentTile, steps: Steps, invocations: number): Expr[] => {
  const { ix } = site.inline;
  const { alongK, block, depth } = tile;
  const run = runShape(block, depth, alongK, invocations)!;
  const bound = (vector: Expr) => site.b.bind('next', site.b.convert(vector, tile.array.type));
  return ownRuns(site, tile, invocations).flatMap(({ i, four }) => {
    if (alongK) return range(run.vectors).map((v) => bound(vectorAlongK(site, tile, steps, i, ix.offset(four, v))));
    const [row] = ix.divmod(i, 4);
    return range(run.steps).flatMap((u) =>
      range(run.vectors).map((v) =>
        bound(vectorAcrossK(site, tile, steps, ix.offset(row, v), ix.offset(ix.scale(four, 4), u))),
      ),
    );
  });
};

/** Hands them to the others: each along k. */
export function stageFragmentTile(site: Site, tile: FragmentTile, invocations: number, loaded: readonly Expr[]): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { array, stride, alongK, block, depth } = tile;
  const { steps, vectors } = runShape(block, depth, alongK, invocations)!;
  const store = (i: Index, four: Index, vector: Expr) =>
    b.storeShared(array, ix.expr(ix.add(ix.scale(i, stride), four)), vector);
  ownRuns(site, tile, invocations).forEach(({ i, four }, r) => {
    const own = loaded.slice(r * steps * vectors, (r + 1) * steps * vectors);
    if (alongK) return own.forEach((vector, v) => store(i, ix.offset(four, v), vector));
    const type = array.type as VectorType;
    range(4 * vectors).forEach((row) => {
      const transposed = range(steps).map((u) => b.component(own[u * vectors + (row >> 2)], row % 4));
      store(ix.offset(i, row), four, b.call(type, transposed, type));
    });
  });
}
