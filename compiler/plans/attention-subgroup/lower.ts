/**
 * Online attention by one subgroup per workgroup, without workgroup memory or barriers: what CPU SIMD devices like. A lane
 * scores its own keys against a block of query rows, then owns columns of the output; weights reach the other lanes by
 * shuffles. Statistics are f32 and never leave the registers. Milakov & Gimelshein 2018, Dao et al. 2022.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import type { SubgroupAttentionPlan } from './plan.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr, Intrinsic, Variable } from '../../kernel/ir.ts';
import { batchIndex, builtins, range, storeElement, type Launch, type Site } from '../common.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';

/** What the parts of the kernel share. Rows go by fours: `[…][g]` is a vec4f of rows 4g … 4g+3. */
interface Block {
  readonly site: Site;
  readonly plan: SubgroupAttentionPlan;
  readonly m: number;
  readonly n: number;
  readonly batch: readonly Index[];
  readonly row0: Index;
  readonly lane: Index;
  /** Running maximum and sum (of the lane's own keys) of each row. */
  readonly top: readonly Variable[];
  readonly sum: readonly Variable[];
  /** The lane's columns of the output: lane, lane + lanes, … */
  readonly output: readonly (readonly Variable[])[];
  readonly columns: readonly Index[];
}

export function subgroupAttention(site: Site, plan: SubgroupAttentionPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const [q, k, v] = region.anchor!.inputs.map((node) => node.type.shape);
  const [m, n, e] = [q[q.length - 2], k[k.length - 2], v[v.length - 1]];
  const gridX = Math.ceil(m / plan.rows);
  const batchShape = region.anchor!.type.shape.slice(0, -2);
  const quads = range(plan.rows / 4);
  const lane = ix.atom(builtins(b).lane, plan.lanes - 1);
  const batch = batchIndex(site, batchShape);
  const row0 = ix.scale(ix.atom(builtins(b).groupX, gridX - 1), plan.rows);
  const perLane = range(Math.ceil(e / plan.lanes));
  const columns = perLane.map((j) => ix.clamp(ix.offset(lane, j * plan.lanes), e - 1, `column_${j}`));
  const none = splat(site, lowest(site));
  const block: Block = {
    site,
    plan,
    m,
    n,
    batch,
    row0,
    lane,
    top: quads.map((g) => b.variable(`top_${g}`, none)),
    sum: quads.map((g) => b.variable(`sum_${g}`, zero(site))),
    output: perLane.map((j) => quads.map((g) => b.variable(`out_${j}_${g}`, zero(site)))),
    columns,
  };
  const blocks = Math.ceil(n / (plan.lanes * plan.keys));
  b.loop(
    'block',
    blocks,
    (t) => {
      const key0 = ix.scale(ix.atom(t, blocks - 1), plan.lanes * plan.keys);
      b.comment('scores of this block of keys');
      const scores = scoreBlock(block, key0);
      b.comment('running maximum and sum of each row');
      exponentiate(block, scores);
      b.comment('output += weights · V');
      accumulate(block, key0, scores);
    },
    true,
  );
  writeOutput(block, e);
  return { workgroupSize: plan.lanes, grid: [gridX, 1, sizeOf(batchShape)] };
}

const splat = ({ b }: Site, value: Expr): Expr => b.call('vec4f', [value], 'vec4f');
const zero = (site: Site): Expr => splat(site, site.b.literal(0, 'f32'));

/** A subgroup operation on each of four rows. */
function acrossLanes({ b }: Site, fn: Intrinsic, rows: Variable, ...more: readonly Expr[]): Expr {
  const parts = range(4).map((r) => b.call(fn, [b.component(b.read(rows), r), ...more]));
  return b.call('vec4f', parts, 'vec4f');
}

const at = ({ inline }: Site, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

/** Scores of the lane's keys against all rows: `[key][g]`. */
function scoreBlock(block: Block, key0: Index): Variable[][] {
  const { site, plan, n, m, batch, row0, lane } = block;
  const { b, inline, region } = site;
  const { ix } = inline;
  const [q, k] = region.anchor!.inputs;
  const d = k.type.shape[k.type.shape.length - 1];
  const mine = range(plan.keys).map((c) => ix.offset(ix.add(key0, lane), c * plan.lanes));
  const keys = mine.map((key, c) => ix.clamp(key, n - 1, `key_${c}`));
  const rows = range(plan.rows / plan.lanes).map((h) =>
    ix.clamp(ix.offset(ix.add(row0, lane), h * plan.lanes), m - 1, `row_${h}`),
  );
  const quads = range(plan.rows / 4);
  const scores = keys.map((_, c) => quads.map((g) => b.variable(`s_${c}_${g}`, zero(site))));
  b.loop('d', d, (i) => {
    const column = ix.atom(i, d - 1);
    const loadedRows = rows.map((row) => b.bind('q_v', at(site, q, [...batch, row, column])));
    const loadedKeys = keys.map((key) => b.bind('k_v', at(site, k, [...batch, key, column])));
    quads.forEach((g) => {
      const row = (r: number) =>
        b.call('subgroupBroadcast', [
          loadedRows[Math.floor((4 * g + r) / plan.lanes)],
          b.u32((4 * g + r) % plan.lanes),
        ]);
      const four = b.bind(`q_${g}`, b.call('vec4f', range(4).map(row), 'vec4f'));
      loadedKeys.forEach((key, c) =>
        b.assign(scores[c][g], b.call('fma', [four, splat(site, key), b.read(scores[c][g])], 'vec4f')),
      );
    });
  });
  scores.forEach((quad, c) =>
    quad.forEach((score, g) => {
      const adjusted = adjustFour(block, b.read(score), 4 * g, keys[c]);
      const beyond = () => b.binary('>=', ix.expr(mine[c]), b.u32(n));
      const away = splat(site, absent(site));
      b.assign(score, keys[c] === mine[c] ? adjusted : b.call('select', [adjusted, away, beyond()]));
    }),
  );
  return scores;
}

/** The scores of four rows with one key, of their products. */
function adjustFour({ site, m, batch, row0 }: Block, products: Expr, first: number, key: Index): Expr {
  const { b, inline } = site;
  const rows = range(4).map((r) => inline.ix.clamp(inline.ix.offset(row0, first + r), m - 1, `row_${first + r}`));
  const parts = rows.map((row, r) =>
    adjustScore(site, scaledScore(site, b.component(products, r)), [...batch, row, key]),
  );
  return b.call('vec4f', parts, 'vec4f');
}

/** Scores become weights under the new maximum; sum and output so far are rescaled to it. */
function exponentiate({ site, top, sum, output }: Block, scores: readonly Variable[][]): void {
  const { b } = site;
  const max = (x: Expr, y: Expr) => b.call('max', [x, y]);
  const exp = (x: Expr) => b.call('exp', [x]);
  top.forEach((highest, g) => {
    const own = b.variable(`own_${g}`, scores.map((quad) => b.read(quad[g])).reduce(max));
    const now = b.bind(`now_${g}`, max(b.read(highest), acrossLanes(site, 'subgroupMax', own)));
    const factor = b.bind(`factor_${g}`, exp(b.binary('-', b.read(highest), now)));
    b.assign(highest, now);
    for (const quad of scores) b.assign(quad[g], exp(b.binary('-', b.read(quad[g]), now)));
    const weights = scores.map((quad) => b.read(quad[g])).reduce((x, y) => b.binary('+', x, y));
    b.assign(sum[g], b.call('fma', [b.read(sum[g]), factor, weights]));
    for (const column of output) b.assign(column[g], b.binary('*', b.read(column[g]), factor));
  });
}

function accumulate(block: Block, key0: Index, weights: readonly Variable[][]): void {
  const { site, plan, n, batch, columns, output } = block;
  const { b, inline, region } = site;
  const { ix } = inline;
  const v = region.anchor!.inputs[2];
  const addKey = (i: Expr, c: number) => {
    const from = ix.atom(i, plan.lanes - 1);
    const wanted = ix.offset(ix.add(key0, from), c * plan.lanes);
    const key = ix.clamp(wanted, n - 1, `key_${c}`);
    // A key that is not there weighs 0, but 0 · ∞ is NaN.
    const present = (x: Expr) =>
      key === wanted ? x : b.call('select', [b.literal(0, 'f32'), x, b.binary('<', ix.expr(wanted), b.u32(n))]);
    const four = weights[c].map((weight, g) => b.bind(`w_${g}`, acrossLanes(site, 'subgroupShuffle', weight, i)));
    columns.forEach((column, j) => {
      const value = splat(site, b.bind('v_v', present(at(site, v, [...batch, key, column]))));
      four.forEach((w, g) => b.assign(output[j][g], b.call('fma', [w, value, b.read(output[j][g])], 'vec4f')));
    });
  };
  b.loop('i', plan.lanes, (i) => range(plan.keys).forEach((c) => addKey(i, c)), true);
}

function writeOutput(block: Block, e: number): void {
  const { site, plan, m, batch, row0, lane, sum, output } = block;
  const { b, inline } = site;
  const { ix } = inline;
  const totals = sum.map((part, g) => b.bind(`total_${g}`, acrossLanes(site, 'subgroupAdd', part)));
  writeStats(block, totals);
  const quotients = output.map((column, j) =>
    column.map((part, g) => b.bind(`attended_${j}_${g}`, b.binary('/', b.read(part), totals[g]))),
  );
  const flat = quotients.flatMap((column) => range(plan.rows).map((r) => b.component(column[r >> 2], r % 4)));
  const tile = b.privateArray('tile', flat);
  const store = (j: Expr, r: Expr) => {
    const column = ix.add(lane, ix.scale(ix.atom(j, output.length - 1), plan.lanes));
    const local = ix.atom(r, plan.rows - 1);
    const place = ix.add(ix.scale(ix.atom(j, output.length - 1), plan.rows), local);
    const value = b.bind('attended', b.loadShared(tile, ix.expr(place)));
    storeElement(site, batch, [ix.add(row0, local), m], [column, e], value);
  };
  b.loop('j', output.length, (j) => b.loop('r', plan.rows, (r) => store(j, r), true), true);
}

/** Where a derivative wants them: each row's largest score, and one over its sum of exponentials, by the first lane. */
function writeStats({ site, plan, m, batch, row0, lane, top }: Block, totals: readonly Expr[]): void {
  const { b, inline, outputs } = site;
  const { ix } = inline;
  const anchor = outputs.find((output) => output.anchor)?.anchor;
  if (!anchor) return;
  const stats = range(plan.rows).flatMap((r) => [
    b.component(b.read(top[r >> 2]), r % 4),
    rowShare(site, b.component(totals[r >> 2], r % 4)),
  ]);
  const tile = b.privateArray('stats', stats);
  b.when(b.binary('==', ix.expr(lane), b.u32(0)), () =>
    b.loop(
      'r',
      plan.rows,
      (r) => {
        const local = ix.atom(r, plan.rows - 1);
        range(2).forEach((i) => {
          const value = b.bind('stat', b.loadShared(tile, ix.expr(ix.offset(ix.scale(local, 2), i))));
          storeElement(site, batch, [ix.add(row0, local), m], [fixedIndex(i), 2], value, anchor);
        });
      },
      true,
    ),
  );
}
