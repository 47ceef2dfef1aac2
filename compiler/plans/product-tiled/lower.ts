/**
 * Product with operand tiles staged in workgroup memory: side² invocations compute a (side·p)² block, p² elements each in
 * registers, `depth` steps of k between barriers. The textbook plan for hardware GPUs.
 */
import { sizeOf } from '../../ir/index.ts';
import type { Part } from '../depth-parts.ts';
import type { TiledProductPlan } from './plan.ts';
import { maxOf, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray, Variable } from '../../kernel/ir.ts';
import { contiguousAxis } from '../contiguous.ts';
import { holdRoot, reducePieces } from '../pieces.ts';
import { sharedTotals } from '../row-statistics.ts';
import { tileRows } from '../tile-rows.ts';
import { batchIndex, builtins, range, productOf, storeElement, storeSums, type Launch, type Site } from '../common.ts';

export function tiledProduct(site: Site, plan: TiledProductPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { side, perThread: p, depth } = plan;
  const block = side * p;
  const product = productOf(site);
  const { groupX, groupY, lane } = builtins(b);
  const gridX = Math.ceil(product.n / block);
  const gridY = Math.ceil(product.m / block);
  const batch = batchIndex(site, product.batch);
  const row0 = ix.scale(ix.atom(groupY, gridY - 1), block);
  const column0 = ix.scale(ix.atom(groupX, gridX - 1), block);
  const [threadRow, threadColumn] = ix.divmod(ix.atom(lane, side * side - 1), side).map((i) => ix.scale(i, p));

  const isFirst = b.binary('==', groupX, b.u32(0));
  // The first tile's first invocations sum up its rows, one each.
  const ownsRowSum = b.binary('&&', isFirst, b.binary('<', lane, b.u32(block)));
  const left = tileOf(site, plan, 'left_tile', contiguousAxis(product.operands[0]) === 'last');
  const right = tileOf(site, plan, 'right_tile', contiguousAxis(product.operands[1]) !== 'last');
  const acc = range(p).map((r) => range(p).map((c) => b.variable(`acc_${r}_${c}`, b.literal(0, 'f32'))));
  const rows = tileRows(site, product, batch, row0, { rows: block, threads: side * side, rolled: plan.rolled });
  if (site.region.totals.length) sharedTotals(site, { threads: side * side, rolled: plan.rolled });
  const sum = site.region.sums.length ? b.variable('row_sum', b.literal(0, 'f32')) : undefined;
  const overTiles = (part: Part, body: (k0: Index) => void) => {
    const steps = Math.ceil(part.size / depth);
    b.loop('t', steps, (t) => body(ix.scale(ix.atom(t, steps - 1), depth)));
  };
  const addTile = (part: Part, k0: Index) => {
    stage(
      site,
      plan,
      part,
      left,
      (i, k, inside) => {
        rows.select(i);
        const value = product.left(batch, rows.at(i), k);
        rows.store(i, k, inside);
        return value;
      },
      k0,
    );
    stage(
      site,
      plan,
      part,
      right,
      (i, k) => {
        const n = ix.clamp(ix.add(column0, i), product.n - 1, 'column');
        return product.right(batch, k, n);
      },
      k0,
    );
    b.barrier();
    if (sum) b.when(ownsRowSum, () => addStaged(site, plan, left, sum));
    b.loop('kk', depth, (kk) => {
      const pick = ({ array, stride }: Tile, thread: Index, hint: string) => {
        const base = ix.add(ix.scale(ix.atom(kk, depth - 1), stride), thread);
        return range(p).map((i) => b.bind(`${hint}_${i}`, b.loadShared(array, ix.expr(ix.offset(base, i)))));
      };
      const a = pick(left, threadRow, 'a');
      const w = pick(right, threadColumn, 'w');
      acc.forEach((line, r) => line.forEach((v, c) => b.assign(v, b.call('fma', [a[r], w[c], b.read(v)]))));
    });
    b.barrier();
  };
  for (const part of product.parts) overTiles(part, (k0) => addTile(part, k0));
  const tile = b.privateArray(
    'tile',
    acc.flatMap((line) => line.map((v) => b.read(v))),
  );
  /** A place in the product: of tiles that reach beyond it, its last row or column. */
  const inside = (row: Index, column: Index) => [
    ...batch,
    ix.clamp(row, product.m - 1, 'row'),
    ix.clamp(column, product.n - 1, 'column'),
  ];
  const epilogue = (c: Expr, r: Expr) => {
    const column = ix.add(ix.add(column0, threadColumn), ix.atom(c, p - 1));
    const row = ix.add(ix.add(row0, threadRow), ix.atom(r, p - 1));
    const at = b.binary('+', b.binary('*', r, b.u32(p)), c);
    const value = b.bind('product', b.loadShared(tile, at));
    if (site.region.pieces) holdRoot(site, inside(row, column), value, { array: tile, at });
    storeElement(site, batch, [row, product.m], [column, product.n], value);
  };
  b.loop('c', p, (c) => b.loop('r', p, (r) => epilogue(c, r), plan.rolled), plan.rolled);
  if (site.region.pieces) {
    const rowOf = (r: Index) => ix.add(ix.add(row0, threadRow), r);
    const columnOf = (c: Index) => ix.add(ix.add(column0, threadColumn), c);
    const place = (r: Index, c: Index) => inside(rowOf(r), columnOf(c));
    const isBelow = (i: Index, size: number) => (maxOf(i) < size ? [] : [b.binary('<', ix.expr(i), b.u32(size))]);
    const whenInside = (r: Index, c: Index, body: () => void) => {
      const [first, ...others] = [...isBelow(columnOf(c), product.n), ...isBelow(rowOf(r), product.m)];
      if (first)
        b.when(
          others.reduce((x, y) => b.binary('&&', x, y), first),
          body,
        );
      else body();
    };
    reducePieces(site, plan, { tile, place, inside: whenInside });
  }
  if (sum) storeSums(site, () => ix.add(row0, ix.atom(lane, block - 1)), product.m, ownsRowSum, b.read(sum));
  return { workgroupSize: side * side, grid: [gridX, gridY, sizeOf(product.batch)] };
}

/** A staged tile: element i of row (or column) k lies at k·stride + i. */
interface Tile {
  readonly array: SharedArray;
  readonly stride: number;
  /** Neighbouring invocations load along k: that axis is contiguous in memory. */
  readonly alongK: boolean;
}

/** Where neighbours store along k, a stride that is no multiple of the banks keeps them out of each other's way. */
function tileOf({ b }: Site, { side, perThread, depth }: TiledProductPlan, hint: string, alongK: boolean): Tile {
  const stride = side * perThread + Number(alongK);
  return { array: b.sharedArray(hint, depth * stride), stride, alongK };
}

/** Fills one tile: `load` gives its elements, from step k0 of the part on; `inside` is false past the end of the part. */
function stage(
  { b, inline: { ix } }: Site,
  { side, perThread, depth }: TiledProductPlan,
  part: Part,
  { array, stride, alongK }: Tile,
  load: (i: Index, k: Index, inside?: Expr) => Expr,
  k0: Index,
): void {
  const block = side * perThread;
  const threads = side * side;
  const rounds = (depth * block) / threads;
  b.loop('s', rounds, (s) => {
    const position = ix.add(ix.scale(ix.atom(s, rounds - 1), threads), ix.atom(builtins(b).lane, threads - 1));
    const e = ix.atom(b.bind('e', ix.expr(position)), depth * block - 1);
    const [high, low] = ix.divmod(e, alongK ? depth : block);
    const [i, kk] = alongK ? [high, low] : [low, high];
    const k = ix.add(k0, kk);
    const clamped = ix.clamp(k, part.size - 1, 'k_inside');
    const inside = clamped === k ? undefined : b.binary('<', ix.expr(k), b.u32(part.size));
    const value = load(i, ix.offset(clamped, part.from), inside);
    const staged = inside ? b.call('select', [b.literal(0, 'f32'), value, inside]) : value;
    b.storeShared(array, ix.expr(ix.add(ix.scale(kk, stride), i)), staged);
  });
}

/** Adds the staged part of the invocation's row to its sum. */
function addStaged(
  { b, inline: { ix } }: Site,
  { side, perThread, depth }: TiledProductPlan,
  left: Tile,
  sum: Variable,
) {
  const row = ix.atom(builtins(b).lane, side * perThread - 1);
  b.loop('kk', depth, (kk) => {
    const at = ix.add(ix.scale(ix.atom(kk, depth - 1), left.stride), row);
    b.assign(sum, b.binary('+', b.read(sum), b.loadShared(left.array, ix.expr(at))));
  });
}
