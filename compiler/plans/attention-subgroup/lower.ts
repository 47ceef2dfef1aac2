/**
 * Online attention by one subgroup per workgroup: what CPU SIMD devices like. A lane scores four neighbouring keys against a block
 * of query rows; the scores pass through workgroup memory, and a lane then has those of rows of its own, whose largest, sum and
 * exponentials are no other lane's concern. Of the output a lane owns columns; what belongs to a row reaches all by broadcasts.
 * Statistics are f32 and never leave the registers. Milakov & Gimelshein 2018, Dao et al. 2022.
 */
import { sizeOf } from '../../ir/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray, Variable } from '../../kernel/ir.ts';
import { batchIndex, builtins, range, storeElement, type Launch, type Site } from '../common.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';
import {
  addWeighted,
  number,
  ofRow,
  ownPlace,
  productBlock,
  rowsOfLane,
  splat,
  startColumns,
  stepOf,
  writeColumns,
  type Columns,
  type SubgroupWalk,
} from '../subgroup-scores.ts';
import type { SubgroupAttentionPlan } from './plan.ts';

/** What the parts of the kernel share. */
interface Block extends SubgroupWalk {
  /** Queries. */
  readonly m: number;
  /** Running maximum and sum of the lane's rows. */
  readonly top: readonly Variable[];
  readonly sum: readonly Variable[];
  /** Scores of a block of keys, four to a vector: `[row][keys]`. */
  readonly scores: SharedArray;
  readonly columns: readonly Columns[];
}

export function subgroupAttention(site: Site, plan: SubgroupAttentionPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { lanes } = plan;
  const [q, k, v] = region.anchor!.inputs;
  const [m, n, e] = [q.type.shape.at(-2)!, k.type.shape.at(-2)!, v.type.shape.at(-1)!];
  const gridX = Math.ceil(m / plan.rows);
  const batchShape = region.anchor!.type.shape.slice(0, -2);
  const lane = ix.atom(builtins(b).lane, lanes - 1);
  const row0 = ix.scale(ix.atom(builtins(b).groupX, gridX - 1), plan.rows);
  const groups = range(plan.rows / lanes);
  const rows = rowsOfLane(site, plan, lane, row0, m);
  const walk: SubgroupWalk = { site, plan, n, batch: batchIndex(site, batchShape), row0, lane, rows };
  const block: Block = {
    ...walk,
    m,
    top: groups.map((h) => b.variable(`top_${h}`, lowest(site))),
    sum: groups.map((h) => b.variable(`sum_${h}`, number(site, 0))),
    scores: b.sharedArray('scores', plan.rows * lanes, 'vec4f'),
    columns: startColumns(walk, e),
  };
  const blocks = Math.ceil(n / (4 * lanes));
  b.loop(
    'block',
    blocks,
    (t) => {
      const key0 = ix.scale(ix.atom(t, blocks - 1), 4 * lanes);
      b.comment('scores of this block of keys');
      productBlock(block, { node: q, hint: 'q' }, { node: k, hint: 'k' }, key0, block.scores);
      b.barrier();
      b.comment('running maximum of each row, and what was added up under the one before');
      groups.forEach((h) => raise(block, key0, h));
      b.comment('output += weights · V');
      accumulate(block, key0);
      b.barrier();
    },
    true,
  );
  writeStats(block);
  const totals = block.sum.map((total) => b.read(total));
  const shared = range(plan.rows).map((r) => ofRow(block, totals, r));
  writeColumns(block, block.columns, [m, e], (sum, r) => b.binary('/', sum, shared[r]));
  return { workgroupSize: lanes, grid: [gridX, 1, sizeOf(batchShape)] };
}

/** Products of the lane's own row become scores; its maximum follows, and sum and output so far are rescaled to it. */
function raise(block: Block, key0: Index, h: number): void {
  const { site, plan, batch, rows, top, sum, columns } = block;
  const { b } = site;
  const highest = b.variable(`now_${h}`, b.read(top[h]));
  b.loop(
    'i',
    plan.lanes,
    (i) => {
      const { others: keys, present } = stepOf(block, key0, i);
      const place = ownPlace(block, h, i);
      const products = b.bind('products', b.loadShared(block.scores, place));
      const scores = keys.map((key, u) => {
        const scaled = scaledScore(site, b.component(products, u));
        return b.bind('score', present(u, adjustScore(site, scaled, [...batch, rows[h], key]), absent(site)));
      });
      b.storeShared(block.scores, place, b.call('vec4f', scores, 'vec4f'));
      b.assign(
        highest,
        scores.reduce((x, y) => b.call('max', [x, y]), b.read(highest)),
      );
    },
    true,
  );
  const factor = b.bind(`factor_${h}`, b.call('exp', [b.binary('-', b.read(top[h]), b.read(highest))]));
  b.assign(top[h], b.read(highest));
  b.assign(sum[h], b.binary('*', b.read(sum[h]), factor));
  for (const r of range(plan.lanes)) {
    const of = b.bind('of', b.call('subgroupBroadcast', [factor, b.u32(r)]));
    for (const { sums } of columns) {
      const so = sums[h * plan.lanes + r];
      b.assign(so, b.binary('*', b.read(so), so.type === 'vec4f' ? splat(site, of) : of));
    }
  }
}

function accumulate(block: Block, key0: Index): void {
  const { site, plan, top, sum } = block;
  const { b, region } = site;
  const values = { node: region.anchor!.inputs[2], hint: 'v' };
  const add = (i: Expr) => {
    const step = stepOf(block, key0, i);
    const own = top.map((highest, h) => {
      const scores = b.loadShared(block.scores, ownPlace(block, h, i));
      const weights = b.bind(`w_${h}`, b.call('exp', [b.binary('-', scores, splat(site, b.read(highest)))]));
      b.assign(sum[h], b.binary('+', b.read(sum[h]), b.call('dot', [weights, splat(site, number(site, 1))], 'f32')));
      return weights;
    });
    addWeighted(block, block.columns, own, step, values);
  };
  b.loop('i', plan.lanes, add, true);
}

/** Where a derivative wants them: each row's largest score, and one over its sum of exponentials. */
function writeStats(block: Block): void {
  const { site, plan, m, batch, row0, lane, top, sum } = block;
  const { b, inline, outputs } = site;
  const { ix } = inline;
  const anchor = outputs.find((output) => output.anchor)?.anchor;
  if (!anchor) return;
  top.forEach((highest, h) => {
    const row = ix.offset(ix.add(row0, lane), h * plan.lanes);
    [b.read(highest), b.bind('share', rowShare(site, b.read(sum[h])))].forEach((value, i) =>
      storeElement(site, batch, [row, m], [fixedIndex(i), 2], value, anchor),
    );
  });
}
