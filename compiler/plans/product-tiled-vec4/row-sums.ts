/**
 * Sums of the left operand's rows, from its staged tiles: the first invocations of the first column of tiles add up a row each, or
 * four where vectors lie across k.
 */
import type { Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { builtins, range, storeSums, type Site } from '../common.ts';
import type { StagedTile } from './stage.ts';

/** What the invocation has added up so far. */
export function sumsOf({ b }: Site, { alongK }: StagedTile): Variable {
  const zero = b.literal(0, 'f32');
  return b.variable('row_sum', alongK ? zero : b.call('vec4f', [zero], 'vec4f'));
}

/** Invocations that sum up, and which those are. */
function owners({ b }: Site, { alongK, block }: StagedTile): { count: number; isOne: Expr } {
  const count = alongK ? block : block / 4;
  const { groupX, lane } = builtins(b);
  const isOne = b.binary('&&', b.binary('==', groupX, b.u32(0)), b.binary('<', lane, b.u32(count)));
  return { count, isOne };
}

/** Adds the staged part of the invocation's rows. */
export function addRows(site: Site, tile: StagedTile, sum: Variable, depth: number): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { count, isOne } = owners(site, tile);
  const { alongK, array, stride } = tile;
  b.when(isOne, () => {
    const own = ix.atom(builtins(b).lane, count - 1);
    const steps = alongK ? depth / 4 : depth;
    b.loop('step', steps, (step) => {
      const k = ix.atom(step, steps - 1);
      const at = alongK ? ix.add(ix.scale(own, stride), k) : ix.add(ix.scale(k, stride), own);
      const vector = b.bind('staged', b.loadShared(array, ix.expr(at)));
      const terms = alongK ? range(4).map((u) => b.component(vector, u)) : [vector];
      b.assign(
        sum,
        terms.reduce((all, term) => b.binary('+', all, term), b.read(sum)),
      );
    });
  });
}

/** Stores what is computed from the sums. */
export function storeRows(site: Site, tile: StagedTile, sum: Variable): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { count, isOne } = owners(site, tile);
  const own = () => ix.atom(builtins(b).lane, count - 1);
  const store = (row: () => Index, value: Expr) =>
    storeSums(site, () => ix.add(tile.first, row()), tile.length, isOne, value);
  if (tile.alongK) return store(own, b.read(sum));
  const four = b.privateArray(
    'sums',
    range(4).map((r) => b.component(b.read(sum), r)),
  );
  b.loop('r', 4, (r) =>
    store(() => ix.add(ix.scale(own(), 4), ix.atom(r, 3)), b.bind('row_total', b.loadShared(four, r))),
  );
}
