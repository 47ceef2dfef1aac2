/**
 * The rows of a product's left operand that a tile covers: where they are, their statistics, and what others read of them. Of
 * several columns of tiles, the first writes that.
 */
import { maxOf, type Index } from '../kernel/index-map.ts';
import type { Expr } from '../kernel/ir.ts';
import { builtins, type Product, type Site } from './common.ts';
import { sharedStatistics } from './row-statistics.ts';

export interface TileRows {
  /** Local row i in the product; beyond the last the last one. */
  at(i: Index): Index;
  /** Makes reads of the rows' statistics those of local row i. */
  select(i: Index): void;
  /** Stores what others read at element k of the selected local row i, unless `inside` says that it is beyond the rows' end. */
  store(i: Index, k: Index, inside?: Expr): void;
}

/** Computes the statistics; `row0` is the tile's first row. */
export function tileRows(
  site: Site,
  product: Product,
  batch: readonly Index[],
  row0: Index,
  sizes: { readonly rows: number; readonly threads: number; readonly rolled: boolean; readonly inFours?: boolean },
): TileRows {
  const { b, inline, region } = site;
  const { ix } = inline;
  const at = (i: Index) => ix.clamp(ix.add(row0, i), product.m - 1, 'row');
  const isStored = (i: Index, inside?: Expr) => {
    const row = ix.add(row0, i);
    const isRow = maxOf(row) < product.m ? undefined : b.binary('<', ix.expr(row), b.u32(product.m));
    const isFirst = b.binary('==', builtins(b).groupX, b.u32(0));
    return [isRow, inside].reduce<Expr>((all, one) => (one ? b.binary('&&', all, one) : all), isFirst);
  };
  const statistics = region.reductions.length
    ? sharedStatistics(site, batch, at, { ...sizes, length: product.k })
    : undefined;
  statistics?.storeRows(isStored);
  return {
    at,
    select: (i) => statistics?.select(i),
    store: (i, k, inside) => statistics?.storeElements(i, k, () => isStored(i, inside)),
  };
}
