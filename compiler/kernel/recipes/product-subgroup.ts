/**
 * Product by one subgroup per workgroup, no workgroup memory. Lane l owns columns l, l+L, l+2L, … of a block of rows; per
 * step of k each lane loads one row's element of the left operand, and `subgroupBroadcast` hands it to all.
 */
import { sizeOf } from '../../ir/index.ts';
import type { SubgroupProductPlan } from '../../schedule/plan.ts';
import type { Index } from '../index-map.ts';
import type { Expr, Variable } from '../ir.ts';
import { overDepth } from './depth.ts';
import { batchIndex, builtins, productOf, storeElement, type Launch, type Product, type Site } from './common.ts';

export function subgroupProduct(site: Site, plan: SubgroupProductPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { lanes, rows, columns } = plan;
  const product = productOf(site);
  const { groupX, groupY, lane } = builtins(b);
  const gridX = Math.ceil(product.n / (lanes * columns));
  const gridY = Math.ceil(product.m / rows);
  const batch = batchIndex(site, product.batch);
  const row0 = ix.scale(ix.atom(groupY, gridY - 1), rows);
  const column0 = ix.add(ix.scale(ix.atom(groupX, gridX - 1), lanes * columns), ix.atom(lane, lanes - 1));
  const columnOf = range(columns).map((j) => ix.clamp(ix.offset(column0, j * lanes), product.n - 1, `column_${j}`));

  const quads = Math.max(1, rows / 4);
  const width = Math.min(rows, 4);
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = range(columns).map((j) => range(quads).map((q) => b.variable(`acc_${j}_${q}`, zero)));
  overDepth(site, product, (at) => {
    const left = leftRows(site, plan, product, batch, row0, at);
    const right = columnOf.map((column) => b.bind('right', product.right(batch, at, column)));
    range(quads).forEach((q) => {
      const quad = range(4).map((r) => left[Math.min(q * 4 + r, q * 4 + width - 1)]);
      const a = b.bind(`a_${q}`, b.call('vec4f', quad, 'vec4f'));
      right.forEach((value, j) => {
        b.assign(acc[j][q], b.call('fma', [a, b.call('vec4f', [value], 'vec4f'), b.read(acc[j][q])], 'vec4f'));
      });
    });
  });
  writeTile(site, plan, product, batch, row0, column0, acc);
  return { workgroupSize: lanes, grid: [gridX, gridY, sizeOf(product.batch)] };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Element k of each row of the block, the same in every lane. */
function leftRows(
  { b, inline: { ix } }: Site,
  { lanes, rows }: SubgroupProductPlan,
  product: Product,
  batch: Index[],
  row0: Index,
  k: Index,
): Expr[] {
  const last = product.m - 1;
  if (rows < lanes) return range(rows).map((r) => product.left(batch, ix.clamp(ix.offset(row0, r), last, 'row'), k));
  const { lane } = builtins(b);
  return range(rows / lanes).flatMap((group) => {
    const mine = ix.offset(ix.add(row0, ix.atom(lane, lanes - 1)), group * lanes);
    const value = b.bind('left', product.left(batch, ix.clamp(mine, last, `row_${group}`), k));
    return range(lanes).map((r) => b.call('subgroupBroadcast', [value, b.u32(r)]));
  });
}

function writeTile(
  site: Site,
  { lanes, rows, columns }: SubgroupProductPlan,
  product: Product,
  batch: Index[],
  row0: Index,
  column0: Index,
  acc: Variable[][],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const flat = acc.flatMap((quads) => range(rows).map((r) => b.component(b.read(quads[Math.floor(r / 4)]), r % 4)));
  const tile = b.privateArray('tile', flat);
  const epilogue = (j: Expr, r: Expr) => {
    const column = ix.add(column0, ix.scale(ix.atom(j, columns - 1), lanes));
    const row = ix.add(row0, ix.atom(r, rows - 1));
    const at = b.binary('+', b.binary('*', j, b.u32(rows)), r);
    storeElement(site, batch, [row, product.m], [column, product.n], b.bind('product', b.loadShared(tile, at)));
  };
  b.loop('j', columns, (j) => b.loop('r', rows, (r) => epilogue(j, r), true), true);
}
