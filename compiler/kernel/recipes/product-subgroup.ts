/**
 * Product by one subgroup per workgroup, no workgroup memory. Lane l owns columns l, l+L, l+2L, … of a block of rows; per
 * step of k each lane loads one row's element of the left operand (or four), and `subgroupBroadcast` hands it to all.
 */
import { sizeOf } from '../../ir/index.ts';
import type { SubgroupProductPlan } from '../../schedule/plan.ts';
import type { Index } from '../index-map.ts';
import type { Expr } from '../ir.ts';
import { overDepth } from './depth.ts';
import { batchIndex, builtins, productOf, storeElement, type Launch, type Product, type Site } from './common.ts';

/** The block of the result that a workgroup computes. */
interface Block {
  readonly site: Site;
  readonly plan: SubgroupProductPlan;
  readonly product: Product;
  readonly batch: readonly Index[];
  readonly row0: Index;
  /** The lane's first column, and all of them within the matrix. */
  readonly column0: Index;
  readonly columns: readonly Index[];
}

export function subgroupProduct(site: Site, plan: SubgroupProductPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { lanes, rows, columns } = plan;
  const product = productOf(site);
  const { groupX, groupY, lane } = builtins(b);
  const gridX = Math.ceil(product.n / (lanes * columns));
  const gridY = Math.ceil(product.m / rows);
  const column0 = ix.add(ix.scale(ix.atom(groupX, gridX - 1), lanes * columns), ix.atom(lane, lanes - 1));
  const block: Block = {
    site,
    plan,
    product,
    batch: batchIndex(site, product.batch),
    row0: ix.scale(ix.atom(groupY, gridY - 1), rows),
    column0,
    columns: range(columns).map((j) => ix.clamp(ix.offset(column0, j * lanes), product.n - 1, `column_${j}`)),
  };
  writeTile(block, plan.step === 4 ? sumByFours(block) : sumByOnes(block));
  return { workgroupSize: lanes, grid: [gridX, gridY, sizeOf(product.batch)] };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The sums of each of the lane's columns, row by row, four rows to a vector. */
function sumByOnes({ site, plan, product, batch, row0, columns }: Block): Expr[][] {
  const { b } = site;
  const { rows } = plan;
  const quads = Math.max(1, rows / 4);
  const width = Math.min(rows, 4);
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = columns.map((_, j) => range(quads).map((q) => b.variable(`acc_${j}_${q}`, zero)));
  overDepth(site, product, (at) => {
    const left = loadedRows(site, plan, product.m, row0, (row) => product.left(batch, row, at));
    const right = columns.map((column) => b.bind('right', product.right(batch, at, column)));
    range(quads).forEach((q) => {
      const quad = range(4).map((r) => left[Math.min(q * 4 + r, q * 4 + width - 1)]);
      const a = b.bind(`a_${q}`, b.call('vec4f', quad, 'vec4f'));
      right.forEach((value, j) => {
        b.assign(acc[j][q], b.call('fma', [a, b.call('vec4f', [value], 'vec4f'), b.read(acc[j][q])], 'vec4f'));
      });
    });
  });
  return acc.map((column) => range(rows).map((r) => b.component(b.read(column[r >> 2]), r % 4)));
}

/** The same with four steps of k to a vector. */
function sumByFours({ site, plan, product, batch, row0, columns }: Block): Expr[][] {
  const { b, inline } = site;
  const { ix } = inline;
  const acc = columns.map((_, j) => range(plan.rows).map((r) => b.variable(`acc_${j}_${r}`, b.literal(0, 'f32'))));
  b.loop('k', product.k / 4, (k) => {
    const steps = range(4).map((u) => ix.offset(ix.scale(ix.atom(k, product.k / 4 - 1), 4), u));
    const left = loadedRows(site, plan, product.m, row0, (row) =>
      asVector(
        site,
        steps.map((at) => product.left(batch, row, at)),
      ),
    );
    const right = columns.map((column, j) => {
      const four = steps.map((at) => product.right(batch, at, column));
      return b.bind(`right_${j}`, asVector(site, four));
    });
    left.forEach((row, r) => {
      const a = b.bind(`a_${r}`, row);
      right.forEach((value, j) => {
        b.assign(acc[j][r], b.binary('+', b.read(acc[j][r]), b.call('dot', [a, value], 'f32')));
      });
    });
  });
  return acc.map((column) => column.map((row) => b.read(row)));
}

/** Four values as a vector; the components of one vector, in order, are that vector. */
function asVector({ b }: Site, four: readonly Expr[]): Expr {
  const [first] = four;
  const whole =
    first.kind === 'component' && four.every((x, i) => x.kind === 'component' && x.of === first.of && x.lane === i);
  return whole ? first.of : b.call('vec4f', four, 'vec4f');
}

/** What `load` gives for each row of the block, in every lane: each lane loads a row (a loop of loads costs one a lane). */
function loadedRows(
  { b, inline: { ix } }: Site,
  { lanes, rows }: SubgroupProductPlan,
  m: number,
  row0: Index,
  load: (row: Index) => Expr,
): Expr[] {
  const lane = ix.atom(builtins(b).lane, lanes - 1);
  return range(Math.ceil(rows / lanes)).flatMap((group) => {
    const mine = ix.clamp(ix.offset(ix.add(row0, lane), group * lanes), m - 1, `row_${group}`);
    const value = b.bind('left', load(mine));
    return range(Math.min(rows, lanes)).map((r) => b.call('subgroupBroadcast', [value, b.u32(r)]));
  });
}

function writeTile({ site, plan, product, batch, row0, column0 }: Block, sums: readonly (readonly Expr[])[]): void {
  const { lanes, rows, columns } = plan;
  const { b, inline } = site;
  const { ix } = inline;
  const tile = b.privateArray('tile', sums.flat());
  const epilogue = (j: Expr, r: Expr) => {
    const column = ix.add(column0, ix.scale(ix.atom(j, columns - 1), lanes));
    const row = ix.add(row0, ix.atom(r, rows - 1));
    const at = b.binary('+', b.binary('*', j, b.u32(rows)), r);
    storeElement(site, batch, [row, product.m], [column, product.n], b.bind('product', b.loadShared(tile, at)));
  };
  b.loop('j', columns, (j) => b.loop('r', rows, (r) => epilogue(j, r), true), true);
}
