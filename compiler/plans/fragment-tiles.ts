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

/** Vectors that an invocation takes at once: along k two beside each other, across k those of four rows by four steps. */
const runOf = ({ alongK }: Pick<FragmentTile, 'alongK'>): number => (alongK ? 2 : 4);

/** Whether `invocations` share a tile evenly. */
export const sharesTile = (block: number, depth: number, alongK: boolean, invocations: number): boolean =>
  depth % (4 * (alongK ? 2 : 1)) === 0 && (block * depth) % (4 * runOf({ alongK }) * invocations) === 0;

/** Some vectors of a tile: at row i and those after it, at step 4·four of k and those after it. */
interface Run {
  readonly i: Index;
  readonly four: Index;
}

/** The runs of a tile that are this invocation's. */
function ownRuns({ b, inline: { ix } }: Site, tile: FragmentTile, invocations: number): Run[] {
  const { alongK, block, depth } = tile;
  const runs = (block * depth) / (4 * runOf(tile));
  return range(runs / invocations).map((s) => {
    const position = ix.offset(ix.atom(builtins(b).lane, invocations - 1), s * invocations);
    if (alongK) {
      const [i, pair] = ix.divmod(position, depth / 8);
      return { i, four: ix.scale(pair, 2) };
    }
    const [four, rows] = ix.divmod(position, block / 4);
    return { i: ix.scale(rows, 4), four };
  });
}

/** This invocation's vectors of a tile, as they lie in memory. */
export const loadFragmentTile = (site: Site, tile: FragmentTile, steps: Steps, invocations: number): Expr[] =>
  ownRuns(site, tile, invocations).flatMap(({ i, four }) => {
    const { ix } = site.inline;
    const vectorOf = (v: number) =>
      tile.alongK
        ? vectorAlongK(site, tile, steps, i, ix.offset(four, v))
        : vectorAcrossK(site, tile, steps, ix.divmod(i, 4)[0], ix.offset(ix.scale(four, 4), v));
    return range(runOf(tile)).map((v) => site.b.bind('next', narrow(site, tile, vectorOf(v))));
  });

/** Hands them to the others: each along k. */
export function stageFragmentTile(site: Site, tile: FragmentTile, invocations: number, loaded: readonly Expr[]): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { array, stride, alongK } = tile;
  const run = runOf(tile);
  ownRuns(site, tile, invocations).forEach(({ i, four }, r) => {
    const own = loaded.slice(r * run, (r + 1) * run);
    range(run).forEach((v) => {
      if (alongK) return b.storeShared(array, ix.expr(ix.add(ix.scale(i, stride), ix.offset(four, v))), own[v]);
      const transposed = own.map((vector) => b.component(vector, v));
      const type = array.type as VectorType;
      b.storeShared(array, ix.expr(ix.add(ix.scale(ix.offset(i, v), stride), four)), b.call(type, transposed, type));
    });
  });
}

/** A vector of f32 as the tile holds it. */
const narrow = ({ b }: Site, { array }: FragmentTile, vector: Expr): Expr => b.convert(vector, array.type);
