/**
 * Product with operand tiles staged in workgroup memory as vectors. While a workgroup multiplies one tile, the next one is on its
 * way in registers: loads are not waited for where they are made. A product adds up its terms in the order of k.
 */
import { sizeOf } from '../../ir/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { asVector, batchIndex, builtins, productOf, range, storeElement, type Launch, type Site } from '../common.ts';
import type { Part } from '../depth-parts.ts';
import { tileRows } from '../tile-rows.ts';
import { stagingOf, type Staging, type Vec4TiledProductPlan } from './plan.ts';
import { addRows, storeRows, sumsOf } from './row-sums.ts';
import { loadTile, pickedFour, stageTile, placeOf, type Sharing, type StagedTile } from './stage.ts';

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
  const sums = region.sums.length ? sumsOf(site, left) : undefined;
  const multiply = () => {
    if (sums) addRows(site, left, sums, depth);
    b.loop('four', depth / 4, (four) => addSteps(site, plan, [left, right], acc, ix.atom(four, depth / 4 - 1)));
  };
  for (const part of product.parts) overTiles(site, part, { depth, invocations }, [left, right], multiply);
  storeTile(site, plan, [left, right], acc, batch);
  if (sums) storeRows(site, left, sums);
  return { workgroupSize: invocations, grid: [gridX, gridY, sizeOf(product.batch)] };
}

/** Each round asks for the next tile, multiplies the one that is staged, and stages the next: the last round its own once more. */
function overTiles(
  site: Site,
  part: Part,
  sharing: Sharing,
  operands: readonly StagedTile[],
  multiply: () => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const tiles = Math.ceil(part.size / sharing.depth);
  const load = (tile: Index, isNew?: Expr) => {
    const loaded = operands.map((operand) => loadTile(site, operand, { ...sharing, part, tile, isNew }));
    return () => {
      operands.forEach((operand, i) => stageTile(site, operand, sharing, loaded[i]));
      b.barrier();
    };
  };
  load(ZERO)();
  b.loop('t', tiles, (t) => {
    const following = ix.offset(ix.atom(t, tiles - 1), 1);
    const isNew = b.binary('<', ix.expr(following), b.u32(tiles));
    const stage = tiles > 1 ? load(ix.clamp(following, tiles - 1, 'tile'), isNew) : undefined;
    multiply();
    b.barrier();
    stage?.();
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

function storeTile(
  site: Site,
  { rows, columns }: Vec4TiledProductPlan,
  [left, right]: readonly StagedTile[],
  acc: readonly (readonly Variable[])[],
  batch: readonly Index[],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const tile = b.privateArray(
    'tile',
    acc.flatMap((row) => row.flatMap((sum) => range(4).map((i) => b.component(b.read(sum), i)))),
  );
  const place = (operand: StagedTile, four: Expr, one: Expr, count: number) => {
    const [q, i] = [ix.atom(four, count / 4 - 1), ix.atom(one, 3)];
    return [ix.add(operand.first, placeOf(site, operand, q, i)), ix.add(ix.scale(q, 4), i)];
  };
  const store = (rowFour: Expr, rowOne: Expr, columnFour: Expr, columnOne: Expr) => {
    const [row, r] = place(left, rowFour, rowOne, rows);
    const [column, c] = place(right, columnFour, columnOne, columns);
    const value = b.bind('product', b.loadShared(tile, ix.expr(ix.add(ix.scale(r, columns), c))));
    storeElement(site, batch, [row, left.length], [column, right.length], value);
  };
  b.loop('rows', rows / 4, (p) =>
    b.loop('r', 4, (r) => b.loop('columns', columns / 4, (q) => b.loop('c', 4, (c) => store(p, r, q, c)))),
  );
}
