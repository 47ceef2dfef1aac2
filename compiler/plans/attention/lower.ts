/**
 * Online attention: softmax(scale·QKᵀ)V without storing the scores. A workgroup owns a block of query rows and walks the
 * keys in blocks: scores of the block, running maximum and sum per row, and the output rescaled as the maximum grows.
 * Milakov & Gimelshein 2018, Dao et al. 2022. Statistics are f32; scores and output of the block live in workgroup memory.
 */
import { sizeOf, type Shape } from '../../ir/index.ts';
import { outputColumns, type AttentionPlan } from './plan.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr, SharedArray, Variable } from '../../kernel/ir.ts';
import { batchIndex, builtins, range, storeElement, type Launch, type Site } from '../common.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';

interface Block {
  readonly site: Site;
  readonly plan: AttentionPlan;
  /** Queries, keys, width of a key, width of a value. */
  readonly m: number;
  readonly n: number;
  readonly d: number;
  readonly e: number;
  readonly batch: Index[];
  readonly row0: Index;
  /** All keys fit one block: nothing to rescale. */
  readonly once: boolean;
  /** scores[key][row], then their exponentials; output[column][row]. */
  readonly scores: SharedArray;
  readonly output: SharedArray;
  readonly largest: SharedArray;
  readonly total: SharedArray;
  readonly rescale: SharedArray;
}

export function attentionKernel(site: Site, plan: AttentionPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const [q, k, v] = region.anchor!.inputs.map((node) => node.type.shape);
  const last = (shape: Shape) => shape[shape.length - 1];
  const [m, n] = [q[q.length - 2], k[k.length - 2]];
  const gridX = Math.ceil(m / plan.rows);
  const batchShape = region.anchor!.type.shape.slice(0, -2);
  const blocks = Math.ceil(n / plan.keys);
  const columns = outputColumns(last(v), plan);
  const block: Block = {
    site,
    plan,
    m,
    n,
    d: last(k),
    e: last(v),
    batch: batchIndex(site, batchShape),
    row0: ix.scale(ix.atom(builtins(b).groupX, gridX - 1), plan.rows),
    once: blocks === 1,
    scores: b.sharedArray('scores', plan.keys * plan.rows),
    output: b.sharedArray('output', columns * plan.rows),
    largest: b.sharedArray('largest', plan.rows),
    total: b.sharedArray('total', plan.rows),
    rescale: b.sharedArray('rescale', plan.rows),
  };
  clear(block, columns);
  b.barrier();
  b.loop(
    'block',
    blocks,
    (t) => {
      const key0 = ix.scale(ix.atom(t, blocks - 1), plan.keys);
      b.comment('scores of this block of keys');
      scoreBlock(block, key0);
      b.barrier();
      b.comment('running maximum and sum of each row');
      exponentiate(block);
      b.barrier();
      b.comment('output of the block, rescaled to the new maximum');
      accumulate(block, key0, columns);
      b.barrier();
    },
    plan.rolled,
  );
  writeOutput(block, columns);
  writeStats(block);
  return { workgroupSize: plan.lanes, grid: [gridX, 1, sizeOf(batchShape)] };
}

/** Index i·lanes + lane, for the invocations to share work evenly. */
function strided({ site: { b, inline }, plan }: Block, i: Expr, rounds: number): Index {
  const { ix } = inline;
  return ix.add(ix.scale(ix.atom(i, rounds - 1), plan.lanes), ix.atom(builtins(b).lane, plan.lanes - 1));
}

function clear(block: Block, columns: number): void {
  const { site, plan } = block;
  const { b, inline } = site;
  const zero = b.literal(0, 'f32');
  if (!block.once) {
    const rounds = (columns * plan.rows) / plan.lanes;
    b.loop(
      'i',
      rounds,
      (i) => b.storeShared(block.output, inline.ix.expr(strided(block, i, rounds)), zero),
      plan.rolled,
    );
  }
  eachOwnRow(block, (row) => {
    b.storeShared(block.largest, row, lowest(site));
    b.storeShared(block.total, row, zero);
  });
}

/** Rows are dealt out to the first invocations. */
function eachOwnRow(block: Block, body: (row: Expr) => void): void {
  const { site, plan } = block;
  const { b, inline } = site;
  const rounds = Math.ceil(plan.rows / plan.lanes);
  b.loop('i', rounds, (i) => {
    const row = b.bind('own_row', inline.ix.expr(strided(block, i, rounds)));
    if (rounds * plan.lanes === plan.rows) body(row);
    else b.when(b.binary('<', row, b.u32(plan.rows)), () => body(row));
  });
}

/** Each invocation scores its keys against all rows of the block. */
function scoreBlock(block: Block, key0: Index): void {
  const { site, plan, m, n, d, batch, row0 } = block;
  const { b, inline, region } = site;
  const { ix } = inline;
  const [q, k] = region.anchor!.inputs;
  const at = (node: typeof q, index: Index[]) => inline.value(node, broadcastIndex(index, node.type.shape));
  const perLane = plan.keys / plan.lanes;
  const quads = plan.rows / 4;
  const lane = ix.atom(builtins(b).lane, plan.lanes - 1);
  const local = range(perLane).map((i) => ix.offset(lane, i * plan.lanes));
  const keys = local.map((key, i) => ix.clamp(ix.add(key0, key), n - 1, `key_${i}`));
  const rows = range(plan.rows).map((r) => ix.clamp(ix.offset(row0, r), m - 1, `row_${r}`));
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const acc = keys.map((_, i) => range(quads).map((g) => b.variable(`s_${i}_${g}`, zero)));
  b.loop('c', d, (c) => {
    const column = ix.atom(c, d - 1);
    const loaded = keys.map((key) => at(k, [...batch, key, column]));
    range(quads).forEach((g) => {
      const quad = range(4).map((r) => at(q, [...batch, rows[g * 4 + r], column]));
      const rowsOfQ = b.bind(`q_${g}`, b.call('vec4f', quad, 'vec4f'));
      loaded.forEach((value, i) => {
        b.assign(acc[i][g], b.call('fma', [rowsOfQ, b.call('vec4f', [value], 'vec4f'), b.read(acc[i][g])], 'vec4f'));
      });
    });
  });
  const tile = b.privateArray('tile', flatten(block, acc));
  const store = (i: Expr, r: Expr) => {
    const key = ix.add(lane, ix.scale(ix.atom(i, perLane - 1), plan.lanes));
    const row = ix.atom(r, plan.rows - 1);
    const product = b.loadShared(tile, ix.expr(ix.add(ix.scale(ix.atom(i, perLane - 1), plan.rows), row)));
    const position = [ix.clamp(ix.add(row0, row), m - 1, 'row'), ix.clamp(ix.add(key0, key), n - 1, 'key')];
    const score = adjustScore(site, scaledScore(site, product), [...batch, ...position]);
    const beyond = () => b.binary('>=', ix.expr(ix.add(key0, key)), b.u32(n));
    const masked = n % plan.keys ? b.call('select', [score, absent(site), beyond()]) : score;
    b.storeShared(block.scores, ix.expr(ix.add(ix.scale(key, plan.rows), row)), masked);
  };
  b.loop('i', perLane, (i) => b.loop('r', plan.rows, (r) => store(i, r), plan.rolled), plan.rolled);
}

/** Accumulators as scalars, rows fastest. */
const flatten = ({ site: { b }, plan }: Block, acc: readonly Variable[][]): Expr[] =>
  acc.flatMap((quads) => range(plan.rows).map((r) => b.component(b.read(quads[Math.floor(r / 4)]), r % 4)));

/** Scores become exponentials under the new running maximum; the old output is to be scaled by `rescale`. */
function exponentiate(block: Block): void {
  const { site, plan } = block;
  const { b, inline } = site;
  const { ix } = inline;
  const exp = (x: Expr) => b.call('exp', [x]);
  eachOwnRow(block, (row) => {
    const at = (key: Expr) =>
      ix.expr(ix.add(ix.scale(ix.atom(key, plan.keys - 1), plan.rows), ix.atom(row, plan.rows - 1)));
    const before = b.bind('before', b.loadShared(block.largest, row));
    const top = b.variable('top', before);
    b.loop(
      'j',
      plan.keys,
      (j) => b.assign(top, b.call('max', [b.read(top), b.loadShared(block.scores, at(j))])),
      plan.rolled,
    );
    const now = b.bind('now', b.read(top));
    const sum = b.variable('sum', b.literal(0, 'f32'));
    b.loop(
      'j',
      plan.keys,
      (j) => {
        const weight = b.bind('weight', exp(b.binary('-', b.loadShared(block.scores, at(j)), now)));
        b.storeShared(block.scores, at(j), weight);
        b.assign(sum, b.binary('+', b.read(sum), weight));
      },
      plan.rolled,
    );
    const factor = b.bind('factor', exp(b.binary('-', before, now)));
    b.storeShared(block.total, row, b.call('fma', [b.loadShared(block.total, row), factor, b.read(sum)]));
    b.storeShared(block.largest, row, now);
    b.storeShared(block.rescale, row, factor);
  });
}

/** Each invocation owns columns of the output: output = output·rescale + weights·V over the block's keys. */
function accumulate(block: Block, key0: Index, columns: number): void {
  const { site, plan, n, e, batch } = block;
  const { b, inline, region } = site;
  const { ix } = inline;
  const v = region.anchor!.inputs[2];
  const quads = plan.rows / 4;
  const chunks = columns / (plan.lanes * plan.columns);
  const four = (array: SharedArray, at: Index, hint: string) => {
    const parts = range(4).map((r) => b.loadShared(array, ix.expr(ix.offset(at, r))));
    return b.bind(hint, b.call('vec4f', parts, 'vec4f'));
  };
  b.loop(
    'chunk',
    chunks,
    (chunk) => {
      const first = ix.add(
        ix.scale(ix.atom(chunk, chunks - 1), plan.lanes * plan.columns),
        ix.atom(builtins(b).lane, plan.lanes - 1),
      );
      const own = range(plan.columns).map((i) => ix.offset(first, i * plan.lanes));
      const inside = own.map((column, i) => ix.clamp(column, e - 1, `column_${i}`));
      const place = (i: number, g: number) => ix.offset(ix.scale(own[i], plan.rows), g * 4);
      // With a single block of keys there is no earlier output.
      const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
      const factors = range(quads).map((g) =>
        block.once ? zero : four(block.rescale, fixedIndex(g * 4), `rescale_${g}`),
      );
      const before = (i: number, g: number) =>
        block.once ? zero : b.binary('*', four(block.output, place(i, g), 'old'), factors[g]);
      const acc = own.map((_, i) => range(quads).map((g) => b.variable(`o_${i}_${g}`, before(i, g))));
      b.loop('j', plan.keys, (j) => {
        const local = ix.atom(j, plan.keys - 1);
        const wanted = ix.add(key0, local);
        const key = ix.clamp(wanted, n - 1, 'key');
        const values = inside.map((column) => {
          const value = inline.value(v, broadcastIndex([...batch, key, column], v.type.shape));
          if (key === wanted) return value;
          // A key that is not there weighs 0, but 0 · ∞ is NaN.
          return b.call('select', [b.literal(0, 'f32'), value, b.binary('<', ix.expr(wanted), b.u32(n))]);
        });
        range(quads).forEach((g) => {
          const weights = four(block.scores, ix.offset(ix.scale(local, plan.rows), g * 4), `w_${g}`);
          values.forEach((value, i) => {
            b.assign(
              acc[i][g],
              b.call('fma', [weights, b.call('vec4f', [value], 'vec4f'), b.read(acc[i][g])], 'vec4f'),
            );
          });
        });
      });
      const tile = b.privateArray('tile', flatten(block, acc));
      const store = (i: Expr, r: Expr) => {
        const row = ix.atom(r, plan.rows - 1);
        const column = ix.add(first, ix.scale(ix.atom(i, plan.columns - 1), plan.lanes));
        const part = b.loadShared(tile, ix.expr(ix.add(ix.scale(ix.atom(i, plan.columns - 1), plan.rows), row)));
        b.storeShared(block.output, ix.expr(ix.add(ix.scale(column, plan.rows), row)), part);
      };
      b.loop('i', plan.columns, (i) => b.loop('r', plan.rows, (r) => store(i, r), plan.rolled), plan.rolled);
    },
    plan.rolled,
  );
}

/** Where a derivative wants them: each row's largest score, and one over its sum of exponentials. */
function writeStats(block: Block): void {
  const { site, plan, m, batch, row0 } = block;
  const { b, inline, outputs } = site;
  const anchor = outputs.find((output) => output.anchor)?.anchor;
  if (!anchor) return;
  eachOwnRow(block, (row) => {
    const place = inline.ix.add(row0, inline.ix.atom(row, plan.rows - 1));
    const total = b.bind('total_v', b.loadShared(block.total, row));
    const stats = [b.bind('largest_v', b.loadShared(block.largest, row)), b.bind('share', rowShare(site, total))];
    stats.forEach((value, i) => storeElement(site, batch, [place, m], [fixedIndex(i), 2], value, anchor));
  });
}

function writeOutput(block: Block, columns: number): void {
  const { site, plan, m, e, batch, row0 } = block;
  const { b, inline } = site;
  const { ix } = inline;
  const rounds = columns / plan.lanes;
  const store = (i: Expr, r: Expr) => {
    const column = strided(block, i, rounds);
    const local = ix.atom(r, plan.rows - 1);
    const sum = b.loadShared(block.output, ix.expr(ix.add(ix.scale(column, plan.rows), local)));
    const value = b.bind('attended', b.binary('/', sum, b.loadShared(block.total, r)));
    storeElement(site, batch, [ix.add(row0, local), m], [column, e], value);
  };
  b.loop('i', rounds, (i) => b.loop('r', plan.rows, (r) => store(i, r), plan.rolled), plan.rolled);
}
