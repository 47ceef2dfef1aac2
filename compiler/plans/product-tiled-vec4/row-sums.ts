/**
 * Sums of the left operand's rows: each invocation adds up the vectors that it loads, tile by tile. At the end those of a row meet in the
 * memory of the tile, whose first invocations add them up: a row each, or four where vectors lie across k.
 */
import type { Expr, Variable } from '../../kernel/ir.ts';
import { builtins, range, storeSums, type Site } from '../common.ts';
import { rowOf, stageTile, type Sharing, type StagedTile } from './stage.ts';

/** What the invocation has added up of each vector that is its to load. */
export function sumsOf({ b }: Site, vectors: number): Variable[] {
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  return range(vectors).map(() => b.variable('row_sum', zero));
}

export function addVectors({ b }: Site, sums: readonly Variable[], vectors: readonly Expr[]): void {
  sums.forEach((sum, v) => b.assign(sum, b.binary('+', b.read(sum), vectors[v])));
}

/** Stores what is computed from the sums. The tile's memory is free by now. */
export function storeRows(site: Site, tile: StagedTile, sharing: Sharing, sums: readonly Variable[]): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { alongK, array, stride, block, first, length, threads } = tile;
  const { groupX, lane } = builtins(b);
  stageTile(
    site,
    tile,
    sharing,
    sums.map((sum) => b.read(sum)),
  );
  b.barrier();
  const owners = alongK ? block : block / 4;
  const isOne = b.binary('&&', b.binary('==', groupX, b.u32(0)), b.binary('<', lane, b.u32(owners)));
  const own = () => ix.atom(lane, owners - 1);
  const sum = b.variable('sum', b.call('vec4f', [b.literal(0, 'f32')], 'vec4f'));
  b.when(isOne, () => {
    const vectors = alongK ? sharing.depth / 4 : sharing.depth;
    b.loop('v', vectors, (v) => {
      const other = ix.atom(v, vectors - 1);
      const at = alongK ? ix.add(ix.scale(own(), stride), other) : ix.add(ix.scale(other, stride), own());
      b.assign(sum, b.binary('+', b.read(sum), b.loadShared(array, ix.expr(at))));
    });
  });
  const parts = range(4).map((i) => b.component(b.read(sum), i));
  if (alongK) {
    const total = parts.reduce((all, part) => b.binary('+', all, part));
    return storeSums(site, () => ix.add(first, rowOf(ix, own(), threads)), length, isOne, total);
  }
  const four = b.privateArray('sums', parts);
  b.loop('r', 4, (r) => {
    const row = () => ix.add(first, ix.add(ix.scale(own(), 4), ix.atom(r, 3)));
    storeSums(site, row, length, isOne, b.bind('row_total', b.loadShared(four, r)));
  });
}
