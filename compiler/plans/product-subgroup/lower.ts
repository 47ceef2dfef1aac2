/**
 * Product by one subgroup per workgroup, no workgroup memory. Lane l owns columns l, l+L, l+2L, … of a block of rows, or the
 * four from 4·l on; per step of k each lane loads one row's element of the left operand (or four, along k or of neighbouring
 * rows), and `subgroupBroadcast` hands it to all.
 */
import { sizeOf } from '../../ir/index.ts';
import { stepsAtOnce, type SubgroupProductPlan } from './plan.ts';
import { fixedIndex, ZERO, type Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { overDepth } from '../depth.ts';
import {
  asVector,
  batchIndex,
  builtins,
  productOf,
  range,
  storeElement,
  storeSums,
  type Launch,
  type Product,
  type Site,
} from '../common.ts';

/** The block of the result that a workgroup computes. */
interface Block {
  readonly site: Site;
  readonly plan: SubgroupProductPlan;
  readonly product: Product;
  readonly batch: readonly Index[];
  readonly row0: Index;
  /** The lane's column number j. */
  column(j: Index): Index;
  /** Where the kernel sums rows of the left operand: what the lane has loaded so far of its row in each group of `lanes`, or of its four rows. */
  readonly sums: readonly Variable[];
}

export function subgroupProduct(site: Site, plan: SubgroupProductPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { lanes, rows, columns } = plan;
  const product = productOf(site);
  const { groupX, groupY, lane } = builtins(b);
  const gridX = Math.ceil(product.n / (lanes * columns));
  const gridY = Math.ceil(product.m / rows);
  const byColumns = plan.right === 'n4';
  const group = ix.atom(groupX, gridX - 1);
  const own = ix.atom(lane, lanes - 1);
  const column = (j: Index): Index =>
    byColumns
      ? ix.add(ix.scale(ix.add(ix.scale(group, lanes), own), 4), j)
      : ix.add(ix.add(ix.scale(group, lanes * columns), own), ix.scale(j, lanes));
  const block: Block = {
    site,
    plan,
    product,
    batch: batchIndex(site, product.batch),
    row0: ix.scale(ix.atom(groupY, gridY - 1), rows),
    column,
    sums: site.region.sums.length ? startSums(site, plan) : [],
  };
  writeTile(
    block,
    plan.right === 'n4' ? sumByColumns(block) : plan.right === 'k4' ? sumByFours(block) : sumByOnes(block),
  );
  if (block.sums.length) writeSums(block);
  return { workgroupSize: lanes, grid: [gridX, gridY, sizeOf(product.batch)] };
}

/** The lane's columns, those beyond the matrix at its last. */
const columnsWithin = ({ site, plan, product, column }: Block): Index[] =>
  range(plan.columns).map((j) => site.inline.ix.clamp(column(fixedIndex(j)), product.n - 1, `column_${j}`));

/** The sums of each of the lane's columns, row by row, four rows to a vector. */
function sumByOnes(block: Block): Expr[][] {
  const { site, plan, product, batch } = block;
  const { b } = site;
  const columns = columnsWithin(block);
  const { rows } = plan;
  const quads = Math.max(1, rows / 4);
  const width = Math.min(rows, 4);
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = columns.map((_, j) => range(quads).map((q) => b.variable(`acc_${j}_${q}`, zero)));
  overDepth(site, product, (at) => {
    const left = loadedRows(block, (row) => product.left(batch, row, at));
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

/** The same with four steps of k to a vector; added up one by one, as everywhere (common.ts). */
function sumByFours(block: Block): Expr[][] {
  const { site, plan, product, batch } = block;
  const { b } = site;
  const columns = columnsWithin(block);
  const acc = columns.map((_, j) => range(plan.rows).map((r) => b.variable(`acc_${j}_${r}`, b.literal(0, 'f32'))));
  overRuns(block, 4, (steps) => {
    const left = loadedRows(block, (row) =>
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
        const added = steps.reduce(
          (sum, _, u) => b.call('fma', [b.component(a, u), b.component(value, u), sum]),
          b.read(acc[j][r]),
        );
        b.assign(acc[j][r], added);
      });
    });
  });
  return acc.map((column) => column.map((row) => b.read(row)));
}

/**
 * The sums of the lane's four neighbouring columns, to a vector; the left operand as it lies in memory. Several steps of k are
 * added to a sum while it is at hand: there are more sums than registers.
 */
function sumByColumns(block: Block): Expr[][] {
  const { site, plan, product, batch } = block;
  const { b, inline } = site;
  const { ix } = inline;
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = range(plan.rows).map((r) => b.variable(`acc_${r}`, zero));
  const four = ix.clamp(ix.divmod(block.column(ZERO), 4)[0], product.n / 4 - 1, 'column');
  const columns = range(4).map((j) => ix.offset(ix.scale(four, 4), j));
  const addSteps = (steps: readonly Index[], left: (row: number) => readonly Expr[]): void => {
    const rights = steps.map((at, u) => {
      const right = columns.map((column) => product.right(batch, at, column));
      return b.bind(`right_${u}`, asVector(site, right));
    });
    acc.forEach((sum, r) => {
      const row = left(r);
      const added = rights.reduce(
        (before, right, u) => b.call('fma', [b.call('vec4f', [row[u]], 'vec4f'), right, before], 'vec4f'),
        b.read(sum),
      );
      b.assign(sum, added);
    });
  };
  overSteps(block, addSteps);
  return range(4).map((j) => acc.map((sum) => b.component(b.read(sum), j)));
}

/** Calls `addSteps` for the steps of k that are loaded together, with the left operand of a row at each, in every lane. */
function overSteps(
  block: Block,
  addSteps: (steps: readonly Index[], left: (row: number) => readonly Expr[]) => void,
): void {
  const { site, plan, product, batch } = block;
  const { b } = site;
  if (plan.left === 'one') {
    return overDepth(site, product, (at) => {
      const rows = loadedRows(block, (row) => product.left(batch, row, at));
      addSteps([at], (r) => [rows[r]]);
    });
  }
  const count = plan.left === 'k4' ? 4 : stepsAtOnce(plan);
  overRuns(block, count, (steps) => {
    if (plan.left === 'm4') return addSteps(steps, rowsOfQuads(block, steps[0]));
    const four = (row: Index) => {
      const along = steps.map((at) => product.left(batch, row, at));
      return asVector(site, along);
    };
    const rows = loadedRows(block, four);
    addSteps(steps, (r) => {
      const row = b.bind(`a_${r}`, rows[r]);
      return steps.map((_, u) => b.component(row, u));
    });
  });
}

/** Calls `body` for each run of `count` steps of k. */
function overRuns({ site, product }: Block, count: number, body: (steps: readonly Index[]) => void): void {
  const { b, inline } = site;
  const { ix } = inline;
  for (const { from, size } of product.parts) {
    b.loop('k', size / count, (k) => {
      const first = ix.offset(ix.scale(ix.atom(k, size / count - 1), count), from);
      body(range(count).map((u) => ix.offset(first, u)));
    });
  }
}

/** A row at the steps from `first` on: lanes load four neighbouring rows each, as many lanes as that takes a step. */
function rowsOfQuads({ site, plan, product, batch, row0, sums }: Block, first: Index): (row: number) => Expr[] {
  const { b, inline } = site;
  const { ix } = inline;
  const { lane } = builtins(b);
  const quads = plan.rows / 4;
  const steps = stepsAtOnce(plan);
  const mine = ix.atom(b.binary('%', lane, b.u32(quads)), quads - 1);
  const step = ix.atom(b.binary('/', lane, b.u32(quads)), steps - 1);
  const quad = ix.clamp(ix.add(ix.divmod(row0, 4)[0], mine), product.m / 4 - 1, 'rows');
  const four = range(4).map((r) => product.left(batch, ix.offset(ix.scale(quad, 4), r), ix.add(first, step)));
  const left = b.bind('left', asVector(site, four));
  for (const sum of sums) b.assign(sum, b.binary('+', b.read(sum), left));
  const broadcast = (u: number, q: number) => b.call('subgroupBroadcast', [left, b.u32(u * quads + q)]);
  return (row) => {
    const q = row >> 2;
    return range(steps).map((u) => b.component(b.bind(`a_${q}_${u}`, broadcast(u, q)), row % 4));
  };
}

/** What `load` gives for each row of the block, in every lane: each lane loads a row (a loop of loads costs one a lane). */
function loadedRows({ site, plan, product, row0, sums }: Block, load: (row: Index) => Expr): Expr[] {
  const { b, inline } = site;
  const { ix } = inline;
  const { lanes, rows } = plan;
  const lane = ix.atom(builtins(b).lane, lanes - 1);
  return range(Math.ceil(rows / lanes)).flatMap((group) => {
    const mine = ix.clamp(ix.offset(ix.add(row0, lane), group * lanes), product.m - 1, `row_${group}`);
    const value = b.bind('left', load(mine));
    if (sums.length) b.assign(sums[group], b.binary('+', b.read(sums[group]), added(site, value)));
    return range(Math.min(rows, lanes)).map((r) => b.call('subgroupBroadcast', [value, b.u32(r)]));
  });
}

/** The sum of what was loaded. */
const added = ({ b }: Site, value: Expr): Expr =>
  value.type === 'vec4f' ? b.call('dot', [value, b.call('vec4f', [b.literal(1, 'f32')], 'vec4f')], 'f32') : value;

function startSums({ b }: Site, { lanes, rows, left }: SubgroupProductPlan): Variable[] {
  if (left === 'm4') return [b.variable('row_sums', b.call('vec4f', [b.literal(0, 'f32')], 'vec4f'))];
  return range(Math.ceil(rows / lanes)).map((group) => b.variable(`row_sum_${group}`, b.literal(0, 'f32')));
}

/** The first columns' subgroups store what is computed from the sums of the rows, each lane of those it has summed up. */
function writeSums({ site, plan, product, row0, sums }: Block): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { lanes, rows, left } = plan;
  const { groupX, lane } = builtins(b);
  const isFirst = b.binary('==', groupX, b.u32(0));
  const own = (count: number) => (count < lanes ? b.binary('&&', isFirst, b.binary('<', lane, b.u32(count))) : isFirst);
  if (left !== 'm4') {
    sums.forEach((sum, group) => {
      const mine = () => ix.offset(ix.add(row0, ix.atom(lane, Math.min(rows, lanes) - 1)), group * lanes);
      storeSums(site, mine, product.m, own(rows), b.read(sum));
    });
    return;
  }
  // Lanes that loaded the same rows did so for other steps of k.
  const quads = rows / 4;
  const parts = range(stepsAtOnce(plan)).map((u) =>
    b.call('subgroupShuffle', [b.read(sums[0]), b.binary('+', b.binary('%', lane, b.u32(quads)), b.u32(u * quads))]),
  );
  const total = b.bind(
    'row_total',
    parts.reduce((sum, part) => b.binary('+', sum, part)),
  );
  const four = b.privateArray(
    'totals',
    range(4).map((r) => b.component(total, r)),
  );
  const first = () => ix.scale(ix.add(ix.divmod(row0, 4)[0], ix.atom(lane, quads - 1)), 4);
  const store = (r: Expr) => {
    const sum = b.bind('row_sum', b.loadShared(four, r));
    storeSums(site, () => ix.add(first(), ix.atom(r, 3)), product.m, own(quads), sum);
  };
  b.loop('r', 4, store, true);
}

function writeTile({ site, plan, product, batch, row0, column }: Block, sums: readonly (readonly Expr[])[]): void {
  const { rows, columns } = plan;
  const { b, inline } = site;
  const { ix } = inline;
  const tile = b.privateArray('tile', sums.flat());
  const epilogue = (j: Expr, r: Expr) => {
    const row = ix.add(row0, ix.atom(r, rows - 1));
    const at = b.binary('+', b.binary('*', j, b.u32(rows)), r);
    const place = column(ix.atom(j, columns - 1));
    storeElement(site, batch, [row, product.m], [place, product.n], b.bind('product', b.loadShared(tile, at)));
  };
  b.loop('j', columns, (j) => b.loop('r', rows, (r) => epilogue(j, r), true), true);
}
