/**
 * How a tile of an operand gets from memory to the registers of a workgroup: each invocation loads some vectors of it, stores
 * them in workgroup memory, and reads those of its own rows or columns back, four steps of k at a time.
 */
import type { Index, Indexer } from '../../kernel/index-map.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { asVector, builtins, range, type Site } from '../common.ts';
import type { Part } from '../depth-parts.ts';
import type { Staging } from './plan.ts';

/** The rows of an operand, or its columns, from the first of a tile on. */
export interface Source {
  /** How many the whole product has. */
  readonly length: number;
  readonly first: Index;
  /** Element k of local row or column i, which is number `at`; for the first time, and not beyond the part's end, where `isFirst` holds. */
  load(i: Index, at: Index, k: Index, isFirst?: Expr): Expr;
}

/** One operand's tile. */
export interface StagedTile extends Staging, Source {
  readonly array: SharedArray;
  /** Rows or columns of the tile. */
  readonly block: number;
  /** This invocation's number among those that share the block, of so many. */
  readonly thread: Index;
  readonly threads: number;
}

export interface Sharing {
  readonly depth: number;
  readonly invocations: number;
}

/** Which steps of k are loaded. */
export interface Steps {
  readonly depth: number;
  readonly part: Part;
  /** Number of the tile along the part. */
  readonly tile: Index;
  /** Whether this is the first time that the tile is loaded; it is unless told. */
  readonly isNew?: Expr;
}

/**
 * A vector of the tile: its place in workgroup memory, and which four elements it is. Where vectors lie along k, rows are stored in the
 * order in which invocations read them: neighbours read neighbouring ones, and have four of their own beside each other.
 */
interface Vector {
  readonly at: Index;
  readonly i: Index;
  readonly k: Index;
}

/** The vectors of a tile that are this invocation's to load. */
function ownVectors(
  { b, inline: { ix } }: Site,
  { alongK, block, stride, threads }: StagedTile,
  { depth, invocations }: Sharing,
): Vector[] {
  return range((block * depth) / (4 * invocations)).map((s) => {
    const position = ix.offset(ix.atom(builtins(b).lane, invocations - 1), s * invocations);
    const [high, low] = ix.divmod(position, alongK ? depth / 4 : block / 4);
    const at = ix.add(ix.scale(high, stride), low);
    return alongK ? { at, i: rowOf(ix, high, threads), k: low } : { at, i: low, k: high };
  });
}

/** The local row that is stored as number `slot`. */
export function rowOf(ix: Indexer, slot: Index, threads: number): Index {
  const [number, thread] = ix.divmod(slot, threads);
  const [four, one] = ix.divmod(number, 4);
  return ix.add(ix.scale(ix.add(thread, ix.scale(four, threads)), 4), one);
}

/** This invocation's vectors of a tile, from memory. */
export const loadTile = (site: Site, tile: StagedTile, steps: Steps & Sharing): Expr[] =>
  ownVectors(site, tile, steps).map(({ i, k }) =>
    site.b.bind('next', tile.alongK ? vectorAlongK(site, tile, steps, i, k) : vectorAcrossK(site, tile, steps, i, k)),
  );

/** Hands them to the others. */
export function stageTile(site: Site, tile: StagedTile, sharing: Sharing, vectors: readonly Expr[]): void {
  const { b, inline } = site;
  ownVectors(site, tile, sharing).forEach(({ at }, v) => b.storeShared(tile.array, inline.ix.expr(at), vectors[v]));
}

/** Four steps of k of local row or column i: all inside, or all beyond the end, where the part is of whole vectors. */
export function vectorAlongK(
  site: Site,
  tile: Source,
  { part, depth, tile: t, isNew }: Steps,
  i: Index,
  four: Index,
): Expr {
  const { b, inline } = site;
  const { ix } = inline;
  const at = ix.clamp(ix.add(tile.first, i), tile.length - 1, 'at');
  const raw = ix.add(ix.scale(t, depth / 4), four);
  const load = (k: Index, inside?: Expr) => tile.load(i, at, ix.offset(k, part.from), both(b, inside, isNew));
  const isBelow = (k: Index) => b.binary('<', ix.expr(k), b.u32(part.size));
  const zero = b.literal(0, 'f32');
  if (part.size % 4) {
    const elements = range(4).map((u) => {
      const k = ix.offset(ix.scale(raw, 4), u);
      const clamped = ix.clamp(k, part.size - 1, 'k_inside');
      return clamped === k ? load(k) : b.call('select', [zero, load(clamped, isBelow(k)), isBelow(k)]);
    });
    return asVector(site, elements);
  }
  const clamped = ix.clamp(raw, part.size / 4 - 1, 'four');
  const inside = clamped === raw ? undefined : isBelow(ix.scale(raw, 4));
  const elements = range(4).map((u) => load(ix.offset(ix.scale(clamped, 4), u), inside));
  const vector = asVector(site, elements);
  return inside ? b.call('select', [b.call('vec4f', [zero], 'vec4f'), vector, inside]) : vector;
}

/** Step k of four local rows or columns, the ones of group `four`. */
export function vectorAcrossK(
  site: Site,
  tile: Source,
  { part, depth, tile: t, isNew }: Steps,
  four: Index,
  kk: Index,
): Expr {
  const { b, inline } = site;
  const { ix } = inline;
  const raw = ix.add(ix.scale(t, depth), kk);
  const k = ix.clamp(raw, part.size - 1, 'k_inside');
  const inside = k === raw ? undefined : b.binary('<', ix.expr(raw), b.u32(part.size));
  const start = ix.add(tile.first, ix.scale(four, 4));
  const isWhole = tile.length % 4 === 0;
  const clamped = isWhole ? ix.scale(ix.clamp(ix.divmod(start, 4)[0], tile.length / 4 - 1, 'four'), 4) : start;
  const isFirst = both(b, inside, isNew);
  const elements = range(4).map((u) => {
    const at = isWhole ? ix.offset(clamped, u) : ix.clamp(ix.offset(start, u), tile.length - 1, 'at');
    return tile.load(ix.offset(ix.scale(four, 4), u), at, ix.offset(k, part.from), isFirst);
  });
  const vector = asVector(site, elements);
  return inside ? b.call('select', [b.call('vec4f', [b.literal(0, 'f32')], 'vec4f'), vector, inside]) : vector;
}

/** The first local row or column of this invocation's four number `four`: all invocations have their first, then their second. */
export const fourOf = ({ inline: { ix } }: Site, { thread, threads }: StagedTile, four: Index): Index =>
  ix.scale(ix.add(thread, ix.scale(four, threads)), 4);

/** Four of this invocation's elements at four steps of k, from the vectors in workgroup memory: element i at step u. */
export function pickedFour(
  site: Site,
  { array, alongK, stride, thread, threads }: StagedTile,
  four: Index,
  group: number,
  hint: string,
): (i: number, u: number) => Expr {
  const { b, inline } = site;
  const { ix } = inline;
  const place = (v: number): Index =>
    alongK
      ? ix.add(ix.scale(ix.offset(thread, (4 * group + v) * threads), stride), four)
      : ix.add(ix.scale(ix.offset(ix.scale(four, 4), v), stride), ix.offset(thread, group * threads));
  const vectors = range(4).map((v) => b.bind(`${hint}_${group}_${v}`, b.loadShared(array, ix.expr(place(v)))));
  return (i, u) => (alongK ? b.component(vectors[i], u) : b.component(vectors[u], i));
}

const both = (b: Site['b'], one?: Expr, other?: Expr): Expr | undefined =>
  one && other ? b.binary('&&', one, other) : (one ?? other);
