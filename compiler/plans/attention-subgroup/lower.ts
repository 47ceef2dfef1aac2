/**
 * Online attention by one subgroup per workgroup: what CPU SIMD devices like. A lane scores four neighbouring keys against a block
 * of query rows; the scores pass through workgroup memory, and a lane then has those of rows of its own, whose largest, sum and
 * exponentials are no other lane's concern. Of the output a lane owns columns; what belongs to a row reaches all by broadcasts, whose
 * lanes are written down: a lane that is not known, and a reduction, take a loop over the lanes there. Statistics are f32 and never leave
 * the registers. Milakov & Gimelshein 2018, Dao et al. 2022.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { columnsOf, type SubgroupAttentionPlan } from './plan.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr, SharedArray, Variable } from '../../kernel/ir.ts';
import { asVector, batchIndex, builtins, range, storeElement, type Launch, type Site } from '../common.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';

/** Columns of the output that a lane owns side by side: four, or one. */
interface Columns {
  /** The lane's, the last where there are no more. */
  readonly own: readonly Index[];
  /** Sums of each row: vectors of four, or numbers. */
  readonly sums: readonly Variable[];
}

/** What the parts of the kernel share. */
interface Block {
  readonly site: Site;
  readonly plan: SubgroupAttentionPlan;
  readonly m: number;
  readonly n: number;
  readonly batch: readonly Index[];
  readonly row0: Index;
  readonly lane: Index;
  /** The lane's rows, one of every `lanes`, the last where there are no more. */
  readonly rows: readonly Index[];
  /** Running maximum and sum of these. */
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
  const [q, k, v] = region.anchor!.inputs.map((node) => node.type.shape);
  const [m, n, e] = [q[q.length - 2], k[k.length - 2], v[v.length - 1]];
  const gridX = Math.ceil(m / plan.rows);
  const batchShape = region.anchor!.type.shape.slice(0, -2);
  const lane = ix.atom(builtins(b).lane, lanes - 1);
  const row0 = ix.scale(ix.atom(builtins(b).groupX, gridX - 1), plan.rows);
  const groups = range(plan.rows / lanes);
  const block: Block = {
    site,
    plan,
    m,
    n,
    batch: batchIndex(site, batchShape),
    row0,
    lane,
    rows: groups.map((h) => ix.clamp(ix.offset(ix.add(row0, lane), h * lanes), m - 1, `row_${h}`)),
    top: groups.map((h) => b.variable(`top_${h}`, lowest(site))),
    sum: groups.map((h) => b.variable(`sum_${h}`, number(site, 0))),
    scores: b.sharedArray('scores', plan.rows * lanes, 'vec4f'),
    columns: startColumns(site, plan, lane, e),
  };
  const blocks = Math.ceil(n / (4 * lanes));
  b.loop(
    'block',
    blocks,
    (t) => {
      const key0 = ix.scale(ix.atom(t, blocks - 1), 4 * lanes);
      b.comment('scores of this block of keys');
      scoreBlock(block, key0);
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
  writeOutput(block, e);
  return { workgroupSize: lanes, grid: [gridX, 1, sizeOf(batchShape)] };
}

const number = ({ b }: Site, value: number): Expr => b.literal(value, 'f32');
const splat = ({ b }: Site, value: Expr): Expr => b.call('vec4f', [value], 'vec4f');

function startColumns(site: Site, { rows, lanes }: SubgroupAttentionPlan, lane: Index, e: number): Columns[] {
  const { b, inline } = site;
  const { ix } = inline;
  const { count, each } = columnsOf(e, lanes);
  const zero = each === 4 ? splat(site, number(site, 0)) : number(site, 0);
  return range(count).map((j) => {
    const first = ix.scale(ix.clamp(ix.offset(lane, j * lanes), e / each - 1, `column_${j}`), each);
    const own = range(each).map((u) => ix.offset(first, u));
    return { own, sums: range(rows).map((r) => b.variable(`out_${j}_${r}`, zero)) };
  });
}

const at = ({ inline }: Site, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

/** One value, or four as a vector. */
const together = (site: Site, values: readonly Expr[]): Expr =>
  values.length === 1 ? values[0] : asVector(site, values);

const part = ({ b }: Site, of: Expr, u: number): Expr => (of.type === 'vec4f' ? b.component(of, u) : of);

/** A value that a lane has of each of its rows, in every lane: that of row r. */
const ofRow = ({ site: { b }, plan: { lanes } }: Block, own: readonly Expr[], r: number): Expr =>
  b.bind('row', b.call('subgroupBroadcast', [own[Math.floor(r / lanes)], b.u32(r % lanes)]));

/** Adds to the sum of each row its own values times those of the columns, step by step. */
function addProducts(
  block: Block,
  own: readonly Expr[],
  columns: readonly (readonly [Columns['sums'], readonly Expr[]])[],
) {
  const { site, plan } = block;
  const { b } = site;
  for (const r of range(plan.rows)) {
    const row = ofRow(block, own, r);
    for (const [sums, steps] of columns) {
      const added = steps.reduce((before, step, u) => {
        const factor = part(site, row, u);
        return b.call('fma', [step.type === 'vec4f' ? splat(site, factor) : factor, step, before], step.type);
      }, b.read(sums[r]));
      b.assign(sums[r], added);
    }
  }
}

/** Products of the lane's four keys and all rows, to workgroup memory. */
function scoreBlock(block: Block, key0: Index): void {
  const { site, plan, n, batch, lane, rows, scores } = block;
  const { b, inline, region } = site;
  const { ix } = inline;
  const [q, k] = region.anchor!.inputs;
  const d = k.type.shape[k.type.shape.length - 1];
  const keys = range(4).map((c) => ix.clamp(ix.offset(ix.add(key0, ix.scale(lane, 4)), c), n - 1, `key_${c}`));
  const sums = range(plan.rows).map((r) => b.variable(`s_${r}`, splat(site, number(site, 0))));
  // Four neighbours are loaded at once.
  const count = d % 4 ? 1 : 4;
  b.loop('d', d / count, (i) => {
    const steps = range(count).map((u) => ix.offset(ix.scale(ix.atom(i, d / count - 1), count), u));
    const load = (node: Node, row: Index) =>
      b.bind(`${node === q ? 'q' : 'k'}_v`, together(site, steps.map((c) => at(site, node, [...batch, row, c])))); // prettier-ignore
    const loaded = keys.map((key) => load(k, key));
    const columns = steps.map((_, u) => b.bind(`k_${u}`, asVector(site, loaded.map((four) => part(site, four, u))))); // prettier-ignore
    const own = rows.map((row) => load(q, row));
    addProducts(block, own, [[sums, columns]]);
  });
  // A store is a loop over the lanes: one for all rows compiles sooner, and stays in the CPU's caches.
  const made = sums.map((sum) => b.read(sum));
  const tile = b.privateArray('products', made);
  const pass = (r: Expr) => {
    const place = ix.add(lane, ix.scale(ix.atom(r, plan.rows - 1), plan.lanes));
    b.storeShared(scores, ix.expr(place), b.bind('passed', b.loadShared(tile, r)));
  };
  b.loop('r', plan.rows, pass, true);
}

/** Where four scores of the lane's own row lie. */
const ownScores = ({ site, plan, lane, scores }: Block, h: number, i: Expr) => {
  const { ix } = site.inline;
  const row = ix.scale(ix.offset(lane, h * plan.lanes), plan.lanes);
  return [scores, ix.expr(ix.add(row, ix.atom(i, plan.lanes - 1)))] as const;
};

/** The four keys of a step, the last where there are no more, and what is put in the place of a value of one that is not there. */
function stepOf({ site, plan, n }: Block, key0: Index, i: Expr) {
  const { b, inline } = site;
  const { ix } = inline;
  const wanted = range(4).map((u) => ix.offset(ix.add(key0, ix.scale(ix.atom(i, plan.lanes - 1), 4)), u));
  const keys = wanted.map((key, u) => ix.clamp(key, n - 1, `key_${u}`));
  const present = (u: number, value: Expr, otherwise: Expr) =>
    keys[u] === wanted[u]
      ? value
      : b.call('select', [otherwise, value, b.binary('<', ix.expr(wanted[u]), b.u32(n))], value.type);
  return { keys, present };
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
      const { keys, present } = stepOf(block, key0, i);
      const place = ownScores(block, h, i);
      const products = b.bind('products', b.loadShared(...place));
      const scores = keys.map((key, u) => {
        const scaled = scaledScore(site, b.component(products, u));
        return b.bind('score', present(u, adjustScore(site, scaled, [...batch, rows[h], key]), absent(site)));
      });
      b.storeShared(...place, b.call('vec4f', scores, 'vec4f'));
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
  const { site, plan, batch, top, sum, columns } = block;
  const { b, region } = site;
  const v = region.anchor!.inputs[2];
  const step = (i: Expr) => {
    const { keys, present } = stepOf(block, key0, i);
    const own = top.map((highest, h) => {
      const above = b.binary('-', b.loadShared(...ownScores(block, h, i)), splat(site, b.read(highest)));
      const weights = b.bind(`w_${h}`, b.call('exp', [above]));
      b.assign(sum[h], b.binary('+', b.read(sum[h]), b.call('dot', [weights, splat(site, number(site, 1))], 'f32')));
      return weights;
    });
    // A key that is not there weighs 0, but 0 · ∞ is NaN.
    const valuesOf = (own: readonly Index[]) =>
      keys.map((key, u) => {
        const value = together(site, own.map((column) => at(site, v, [...batch, key, column]))); // prettier-ignore
        const nothing = number(site, 0);
        return b.bind('v_v', present(u, value, own.length > 1 ? splat(site, nothing) : nothing));
      });
    addProducts(block, own, columns.map((column) => [column.sums, valuesOf(column.own)])); // prettier-ignore
  };
  b.loop('i', plan.lanes, step, true);
}

/** Each row's share of its columns. */
function writeOutput(block: Block, e: number): void {
  const { site, plan, m, batch, row0, lane, sum, columns } = block;
  const { b, inline } = site;
  const { ix } = inline;
  const { each } = columnsOf(e, plan.lanes);
  const totals = sum.map((total) => b.read(total));
  const shared = range(plan.rows).map((r) => ofRow(block, totals, r));
  const values = columns.flatMap(({ sums }) =>
    range(each).flatMap((u) => sums.map((of, r) => b.binary('/', part(site, b.read(of), u), shared[r]))),
  );
  const tile = b.privateArray('tile', values);
  const count = columns.length * each;
  const store = (j: Expr, r: Expr) => {
    const [own, u] = ix.divmod(ix.atom(j, count - 1), each);
    const column = ix.add(ix.scale(ix.add(lane, ix.scale(own, plan.lanes)), each), u);
    const local = ix.atom(r, plan.rows - 1);
    const place = ix.add(ix.scale(ix.atom(j, count - 1), plan.rows), local);
    const value = b.bind('attended', b.loadShared(tile, ix.expr(place)));
    storeElement(site, batch, [ix.add(row0, local), m], [column, e], value);
  };
  b.loop('j', count, (j) => b.loop('r', plan.rows, (r) => store(j, r), true), true);
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
