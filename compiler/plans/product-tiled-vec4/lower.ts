/**
 * Product with operand tiles staged in workgroup memory as vectors. While a workgroup multiplies one tile, the next one is on its
 * way in registers: loads are not waited for where they are made. A product adds up its terms in the order of k.
 */
import { sizeOf } from '../../ir/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { asVector, batchIndex, builtins, productOf, range, type Launch, type Site } from '../common.ts';
import type { Part } from '../depth-parts.ts';
import { tileRows } from '../tile-rows.ts';
import { stagingOf, type Staging, type Vec4TiledProductPlan } from './plan.ts';
import { addVectors, storeRows, sumsOf } from './row-sums.ts';
import { loadTile, pickedFour, stageTile, type Sharing, type StagedTile } from './stage.ts';
import { storeTile } from './store.ts';

export function vec4TiledProduct(site: Site, plan: Vec4TiledProductPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { down, across, depth } = plan;
  const product = productOf(site);
  const invocations = down * across;
  const [rows, columns] = [down * plan.rows, across * plan.columns];
  const [gridX, gridY] = [Math.ceil(product.n / columns), Math.ceil(product.m / rows)];
  const { groupX, groupY, lane } = builtins(b);
  const batch = batchIndex(site, product.batch);
  const [threadRow, threadColumn] = ix.divmod(ix.atom(lane, invocations - 1), across);
  const row0 = ix.scale(ix.atom(groupY, gridY - 1), rows);
  const column0 = ix.scale(ix.atom(groupX, gridX - 1), columns);

  const arrayOf = (hint: string, { vectors }: Staging) => b.sharedArray(hint, vectors, 'vec4f');
  const staging = stagingOf(plan, region);
  const operand = tileRows(site, product, batch, row0, { rows, threads: invocations, rolled: false, inFours: true });
  const left: StagedTile = {
    ...staging.left,
    array: arrayOf('left_tile', staging.left),
    block: rows,
    length: product.m,
    first: row0,
    thread: threadRow,
    threads: down,
    load(i, at, k, isFirst) {
      operand.select(i);
      const value = product.left(batch, at, k);
      operand.store(i, k, isFirst);
      return value;
    },
  };
  const right: StagedTile = {
    ...staging.right,
    array: arrayOf('right_tile', staging.right),
    block: columns,
    length: product.n,
    first: column0,
    thread: threadColumn,
    threads: across,
    load: (_, at, k) => product.right(batch, k, at),
  };
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = range(plan.rows).map((r) => range(plan.columns / 4).map((q) => b.variable(`acc_${r}_${q}`, zero)));
  const sums = sumsOf(site, region.sums.length ? (rows * depth) / (4 * invocations) : 0);
  const multiply = () =>
    b.loop('four', depth / 4, (four) => addSteps(site, plan, [left, right], acc, ix.atom(four, depth / 4 - 1)));
  const sharing = { depth, invocations };
  for (const part of product.parts) overTiles(site, part, sharing, [left, right], sums, multiply);
  storeTile(site, plan, [left, right], acc, batch);
  if (sums.length) storeRows(site, left, sharing, sums);
  return { workgroupSize: invocations, grid: [gridX, gridY, sizeOf(product.batch)] };
}

/** Each round asks for the next tile, multiplies the one that is staged, and stages the next: the last round its own once more. */
function overTiles(
  site: Site,
  part: Part,
  sharing: Sharing,
  operands: readonly StagedTile[],
  sums: readonly Variable[],
  multiply: () => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const tiles = Math.ceil(part.size / sharing.depth);
  const load = (tile: Index, isNew?: Expr) =>
    operands.map((operand) => loadTile(site, operand, { ...sharing, part, tile, isNew }));
  const stage = (loaded: readonly (readonly Expr[])[]) => {
    operands.forEach((operand, i) => stageTile(site, operand, sharing, loaded[i]));
    b.barrier();
  };
  const first = load(ZERO);
  stage(first);
  // The left vectors of the tile that is multiplied, to be summed up.
  const held = sums.map((_, v) => b.variable('held', first[0][v]));
  b.loop('t', tiles, (t) => {
    const following = ix.offset(ix.atom(t, tiles - 1), 1);
    const isNew = b.binary('<', ix.expr(following), b.u32(tiles));
    addVectors(
      site,
      sums,
      held.map((vector) => b.read(vector)),
    );
    const next = tiles > 1 ? load(ix.clamp(following, tiles - 1, 'tile'), isNew) : undefined;
    multiply();
    b.barrier();
    if (!next) return;
    stage(next);
    held.forEach((vector, v) => b.assign(vector, next[0][v]));
  });
}

/** Adds four steps of k to the invocation's elements, one after the other; four columns at a time, to hold few operands in registers. */
function addSteps(
  site: Site,
  { rows, columns }: Vec4TiledProductPlan,
  [left, right]: readonly StagedTile[],
  acc: readonly (readonly Variable[])[],
  four: Index,
): void {
  const { b } = site;
  const factors = range(rows / 4).map((p) => pickedFour(site, left, four, p, 'a'));
  range(columns / 4).forEach((q) => {
    const pick = pickedFour(site, right, four, q, 'w');
    range(4).forEach((u) => {
      const elements = asVector(
        site,
        range(4).map((i) => pick(i, u)),
      );
      const vector = b.bind(`w_${q}_${u}`, elements);
      acc.forEach((row, r) => {
        const factor = b.call('vec4f', [factors[r >> 2](r % 4, u)], 'vec4f');
        b.assign(row[q], b.call('fma', [factor, vector, b.read(row[q])], 'vec4f'));
      });
    });
  });
}
