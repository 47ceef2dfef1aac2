/** How a workgroup's block of a product gets to memory, epilogue included: four columns of a row at a time, where those lie side by side. */
import type { Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { range, storeElement, storeFour, type Site } from '../common.ts';
import type { Vec4TiledProductPlan } from './plan.ts';
import { fourOf, type StagedTile } from './stage.ts';

export function storeTile(
  site: Site,
  { rows, columns }: Vec4TiledProductPlan,
  [left, right]: readonly StagedTile[],
  acc: readonly (readonly Variable[])[],
  batch: readonly Index[],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const fours = columns / 4;
  const inFours = right.length % 4 === 0;
  const sums = acc.flat().map((sum) => b.read(sum));
  const elements = sums.flatMap((sum) => range(4).map((i) => b.component(sum, i)));
  const tile = b.privateArray('tile', inFours ? sums : elements);
  /** Column four q of local row four p, at its place r. */
  const at = (p: Index, r: Index, q: Index) => ix.add(ix.scale(ix.add(ix.scale(p, 4), r), fours), q);
  const store = (rowFour: Expr, rowOne: Expr, columnFour: Expr) => {
    const [p, r, q] = [ix.atom(rowFour, rows / 4 - 1), ix.atom(rowOne, 3), ix.atom(columnFour, fours - 1)];
    const row = ix.add(left.first, ix.add(fourOf(site, left, p), r));
    const column = ix.add(right.first, fourOf(site, right, q));
    const value = (place: Index) => b.bind('product', b.loadShared(tile, ix.expr(place)));
    if (inFours) return storeFour(site, batch, [row, left.length], [column, right.length], value(at(p, r, q)));
    b.loop('c', 4, (c) => {
      const one = ix.atom(c, 3);
      const element = value(ix.add(ix.scale(at(p, r, q), 4), one));
      storeElement(site, batch, [row, left.length], [ix.add(column, one), right.length], element);
    });
  };
  b.loop('rows', rows / 4, (p) => b.loop('r', 4, (r) => b.loop('columns', fours, (q) => store(p, r, q))));
}
