/**
 * Derivatives of attention, without its weights in memory. An invocation owns a query and walks over the keys for dq; then
 * it owns the key of the same number and walks over the queries for dk and dv. Whatever does not belong to its own row is the
 * same for all invocations of the workgroup. Nothing is shared, so there is no barrier. Dao et al. 2022, algorithm 4.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { attentionDims, contractionOf, gradientOperands, scoreOperands } from '../../ops/index.ts';
import type { AttentionGradientPlan } from './plan.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { batchIndex, builtins, range, storeElement, type Launch, type Site } from '../common.ts';
import { adjustScore, lowest, rowShare, scaledScore, scoreSlope } from '../scores.ts';

interface Rows {
  readonly site: Site;
  readonly plan: AttentionGradientPlan;
  /** q, k, v, and maybe bias and mask. */
  readonly own: readonly Node[];
  readonly dims: ReturnType<typeof attentionDims>;
  readonly batch: Index[];
  /** The invocation's query or key, perhaps beyond the last. */
  readonly mine: Index;
}

export function attentionGradient(site: Site, plan: AttentionGradientPlan): Launch {
  const { b, inline, region, outputs } = site;
  const { ix } = inline;
  const anchor = region.anchor!;
  const isSum = contractionOf(anchor.op) === 'attention-statistics';
  const own = isSum ? withValues(anchor.inputs) : gradientOperands(anchor.inputs).own;
  const dims = attentionDims(own.map(({ type }) => type));
  const anchors = new Map(outputs.map((output) => output.anchor ?? anchor).map((node) => [node.op, node]));
  const [dq, dk, dv] = ['attention_dq', 'attention_dk', 'attention_dv'].map((op) => anchors.get(op));
  const longest = Math.max(isSum || dq ? dims.m : 0, dk || dv ? dims.n : 0);
  const gridX = Math.ceil(longest / plan.lanes);
  const { groupX, lane } = builtins(b);
  const mine = ix.add(ix.scale(ix.atom(groupX, gridX - 1), plan.lanes), ix.atom(lane, plan.lanes - 1));
  const rows: Rows = { site, plan, own, dims, batch: batchIndex(site, dims.batch), mine };
  if (isSum) statistics(rows, anchor);
  else {
    const more = gradientOperands(anchor.inputs);
    if (dq) byQuery(rows, more, dq);
    if (dk || dv) byKey(rows, more, dk, dv);
  }
  return { workgroupSize: plan.lanes, grid: [gridX, 1, sizeOf(dims.batch)] };
}

const withValues = ([q, k, ...more]: readonly Node[]): Node[] => [q, k, k, ...more];

type More = Pick<ReturnType<typeof gradientOperands<Node>>, 'dy' | 'out' | 'stats'>;

const at = ({ site: { inline } }: Rows, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

/** Elements c to c+3 of a row; 0 beyond its end. */
function four(rows: Rows, node: Node, row: Index, c: Index): Expr {
  const { b, inline } = rows.site;
  const width = node.type.shape[node.type.shape.length - 1];
  const zero = b.literal(0, 'f32');
  const parts = range(4).map((i) => {
    const column = inline.ix.offset(c, i);
    if (!column.terms.length && column.base >= width) return zero;
    const inside = inline.ix.clamp(column, width - 1, 'column');
    const value = at(rows, node, [...rows.batch, row, inside]);
    return inside === column ? value : b.call('select', [zero, value, isBelow(rows, column, width)]);
  });
  return b.bind('four', b.call('vec4f', parts, 'vec4f'));
}

const isBelow = ({ site: { b, inline } }: Rows, i: Index, bound: number): Expr =>
  b.binary('<', inline.ix.expr(i), b.u32(bound));

const zeros = ({ b }: Site): Expr => b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');

/** Σ over the columns of two rows. Short rows are written out: what belongs to the own row then stays in registers. */
function dotRows(rows: Rows, hint: string, x: readonly [Node, Index], y: readonly [Node, Index]): Expr {
  const { b, inline } = rows.site;
  const width = x[0].type.shape[x[0].type.shape.length - 1];
  const sum = b.variable(`${hint}_4`, zeros(rows.site));
  const add = (c: Index) => {
    const product = b.call('fma', [four(rows, ...x, c), four(rows, ...y, c), b.read(sum)], 'vec4f');
    b.assign(sum, product);
  };
  const quads = Math.ceil(width / 4);
  if (width <= rows.plan.unrolled) range(quads).forEach((c) => add({ base: 4 * c, terms: [] }));
  else b.loop('c', quads, (c) => add(inline.ix.scale(inline.ix.atom(c, quads - 1), 4)), rows.plan.rolled);
  const [x0, y0, z0, w0] = range(4).map((i) => b.component(b.read(sum), i));
  return b.bind(hint, b.binary('+', b.binary('+', x0, y0), b.binary('+', z0, w0)));
}

/** The score of query i and key j, as attention has it, and what it is before a cap, a bias and a mask. */
function scoreOf(rows: Rows, i: Index, j: Index): { score: Expr; scaled: Expr } {
  const { site, own, batch } = rows;
  const scaled = scaledScore(site, dotRows(rows, 'product', [own[0], i], [own[1], j]));
  return { score: adjustScore(site, scaled, [...batch, i, j], own), scaled };
}

/** P of query i and key j, and the derivative by their product. */
function weightAndSlope(rows: Rows, { dy, out, stats }: More, i: Index, j: Index) {
  const { site, own, batch } = rows;
  const { b } = site;
  const [largest, share] = [0, 1].map((c) => at(rows, stats, [...batch, i, fixedIndex(c)]));
  const { score, scaled } = scoreOf(rows, i, j);
  const weight = b.bind('weight', b.binary('*', b.call('exp', [b.binary('-', score, largest)]), share));
  const slope = () => {
    const spent = dotRows(rows, 'spent', [dy, i], [out, i]);
    const gained = dotRows(rows, 'gained', [dy, i], [own[2], j]);
    const free = b.binary('*', b.binary('*', weight, scoreSlope(site, scaled)), b.binary('-', gained, spent));
    const { mask } = scoreOperands(own, (node) => node.type.dtype);
    if (!mask) return b.bind('slope', free);
    return b.bind('slope', b.call('select', [b.literal(0, 'f32'), free, at(rows, mask, [...batch, i, j])]));
  };
  return { weight, slope };
}

/** Sums over the other rows, of columns `first` and on, of factors times their elements. */
interface Sum {
  readonly anchor: Node;
  /** What is added up, row by row. */
  readonly from: Node;
  readonly width: number;
  readonly factor: (of: ReturnType<typeof weightAndSlope>) => Expr;
}

/** dq of the own query. */
function byQuery(rows: Rows, more: More, dq: Node): void {
  const { own, dims } = rows;
  const sum: Sum = { anchor: dq, from: own[1], width: dims.d, factor: ({ slope }) => slope() };
  walk(rows, [sum], { mine: dims.m, others: dims.n }, (query, key) => weightAndSlope(rows, more, query, key));
}

/** dk and dv of the own key. */
function byKey(rows: Rows, more: More, dk: Node | undefined, dv: Node | undefined): void {
  const { own, dims } = rows;
  const sums: Sum[] = [];
  if (dv) sums.push({ anchor: dv, from: more.dy, width: dims.e, factor: ({ weight }) => weight });
  if (dk) sums.push({ anchor: dk, from: own[0], width: dims.d, factor: ({ slope }) => slope() });
  walk(rows, sums, { mine: dims.n, others: dims.m }, (key, query) => weightAndSlope(rows, more, query, key));
}

/** Walks over the other rows once for as many columns as are held in registers. */
function walk(
  rows: Rows,
  sums: readonly Sum[],
  { mine, others }: { mine: number; others: number },
  factors: (own: Index, other: Index) => ReturnType<typeof weightAndSlope>,
): void {
  const { site, plan } = rows;
  const { b, inline } = site;
  const { ix } = inline;
  const widest = Math.max(...sums.map(({ width }) => width));
  const held = Math.min(widest, plan.unrolled);
  const chunks = Math.ceil(widest / held);
  const body = () =>
    b.loop(
      'chunk',
      chunks,
      (chunk) => {
        const first = ix.scale(ix.atom(chunk, chunks - 1), held);
        const row = ix.clamp(rows.mine, mine - 1, 'own');
        const acc = sums.map(({ width }) =>
          range(Math.ceil(Math.min(width, held) / 4)).map((c) => b.variable(`sum_${c}`, zeros(site))),
        );
        b.loop(
          'other',
          others,
          (o) => {
            const other = ix.atom(o, others - 1);
            const of = factors(row, other);
            sums.forEach(({ from, factor }, s) => {
              const by = b.bind('by', b.call('vec4f', [factor(of)], 'vec4f'));
              acc[s].forEach((part, c) =>
                b.assign(
                  part,
                  b.call('fma', [by, four(rows, from, other, ix.offset(first, 4 * c)), b.read(part)], 'vec4f'),
                ),
              );
            });
          },
          plan.rolled,
        );
        sums.forEach((sum, s) => write(rows, sum, acc[s], first, mine));
      },
      plan.rolled,
    );
  const all = Math.ceil(mine / plan.lanes) * plan.lanes;
  // The other of the two walks may have more rows.
  const grid = Math.max(rows.dims.m, rows.dims.n);
  if (Math.ceil(grid / plan.lanes) * plan.lanes > all) b.when(isBelow(rows, rows.mine, mine), body);
  else body();
}

function write(rows: Rows, { anchor, width }: Sum, acc: readonly Variable[], first: Index, mine: number): void {
  const { site, plan, batch } = rows;
  const { b, inline } = site;
  const { ix } = inline;
  const tile = b.privateArray(
    'row',
    acc.flatMap((part) => range(4).map((i) => b.component(b.read(part), i))),
  );
  const columns = Math.min(width, 4 * acc.length);
  b.loop(
    'c',
    columns,
    (c) => {
      const column = ix.add(first, ix.atom(c, columns - 1));
      const value = b.bind('value', b.loadShared(tile, c));
      storeElement(site, batch, [rows.mine, mine], [column, width], value, anchor);
    },
    plan.rolled,
  );
}

/** The own query's largest score, and one over its sum of exponentials. */
function statistics(rows: Rows, anchor: Node): void {
  const { site, plan, dims, mine, batch } = rows;
  const { b, inline } = site;
  const { ix } = inline;
  const row = ix.clamp(mine, dims.m - 1, 'own');
  const largest = b.variable('largest', lowest(site));
  const total = b.variable('total', b.literal(0, 'f32'));
  b.loop(
    'key',
    dims.n,
    (key) => {
      const score = b.bind('score', scoreOf(rows, row, ix.atom(key, dims.n - 1)).score);
      const now = b.bind('now', b.call('max', [b.read(largest), score]));
      const kept = b.binary('*', b.read(total), b.call('exp', [b.binary('-', b.read(largest), now)]));
      b.assign(total, b.binary('+', kept, b.call('exp', [b.binary('-', score, now)])));
      b.assign(largest, now);
    },
    plan.rolled,
  );
  const stats = [b.read(largest), b.bind('share', rowShare(site, b.read(total)))];
  stats.forEach((value, i) => storeElement(site, batch, [mine, dims.m], [fixedIndex(i), 2], value, anchor));
}
