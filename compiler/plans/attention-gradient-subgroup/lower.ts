/**
 * Derivatives of attention by one subgroup per workgroup: scores are computed anew, four of the others a lane, and weights of rows of the
 * lane's own.
 */
import type { Node } from '../../ir/index.ts';
import { gradientOperands } from '../../ops/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { asVector, batchIndex, builtins, range, type Launch, type Site } from '../common.ts';
import { derivativesOf, writeWalks, type Direction } from '../gradient-walks.ts';
import { weightAndSlope } from '../scores.ts';
import {
  addWeighted,
  number,
  ownPlace,
  productBlock,
  rowsOfLane,
  startColumns,
  stepOf,
  writeColumns,
  type Rows,
  type Step,
  type SubgroupWalk,
} from '../subgroup-scores.ts';
import type { SubgroupGradientPlan } from './plan.ts';

interface Gradient extends ReturnType<typeof gradientOperands<Node>> {
  readonly site: Site;
  readonly plan: SubgroupGradientPlan;
  readonly batch: readonly Index[];
  readonly memory: { readonly scores: SharedArray; readonly gains: SharedArray; readonly spent: SharedArray };
}

/** Of a query: its largest score, one over its sum of exponentials, Σ dy∘out. */
type Facts = readonly [largest: Expr, share: Expr, spent: Expr];

export function subgroupAttentionGradient(site: Site, plan: SubgroupGradientPlan): Launch {
  const { b, region } = site;
  const { dims } = derivativesOf(region);
  const operands = gradientOperands(region.anchor!.inputs);
  const array = (name: string, rows: number) => b.sharedArray(name, rows * plan.lanes, 'vec4f');
  const memory = { scores: array('scores', plan.rows), gains: array('gains', plan.rows), spent: array('spent', 1) };
  const gradient: Gradient = { site, plan, batch: batchIndex(site, dims.batch), memory, ...operands };
  const grid = writeWalks(site, plan.rows, (direction) => walk(gradient, direction));
  return { workgroupSize: plan.lanes, grid };
}

function walk(gradient: Gradient, direction: Direction): void {
  const { site, plan, batch, memory } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { own, row0, mine, others, scored, gained, sums } = direction;
  const lane = ix.atom(builtins(b).lane, plan.lanes - 1);
  const rows = rowsOfLane(site, plan, lane, row0, mine);
  const block: SubgroupWalk = { site, plan, batch, row0, lane, rows, n: others };
  const width = (node: Node) => node.type.shape.at(-1)!;
  const named = (node: Node): Rows => ({ node, hint: hintOf(gradient, node) });
  const results = sums.map(({ of, by }) => startColumns(block, width(of), by));
  const ownFacts = own === 'queries' ? rows.map((row) => factsOf(gradient, row, spentOf(gradient, row))) : undefined;
  const hasSlopes = sums.some(({ by }) => by === 'slope');
  const count = Math.ceil(others / (4 * plan.lanes));
  b.loop(
    'block',
    count,
    (t) => {
      const other0 = ix.scale(ix.atom(t, count - 1), 4 * plan.lanes);
      if (hasSlopes && !ownFacts) shareSpent(gradient, block, other0);
      b.comment('scores, and what dy gains by the values');
      const products = ([mine, theirs]: readonly [Node, Node], to: SharedArray) =>
        productBlock(block, named(mine), named(theirs), other0, to);
      products(scored, memory.scores);
      if (hasSlopes) products(gained, memory.gains);
      b.barrier();
      b.comment(sums.map(({ anchor }) => anchor.op).join(', '));
      const step = (i: Expr) => {
        const four = stepOf(block, other0, i);
        const made = rows.map((_, h) => differentiate(gradient, block, { h, i, four }, ownFacts?.[h], hasSlopes));
        sums.forEach(({ of, by }, s) => addWeighted(block, results[s], made.map((one) => one[by]!), four, named(of))); // prettier-ignore
      };
      b.loop('i', plan.lanes, step, true);
      b.barrier();
    },
    true,
  );
  sums.forEach(({ anchor, of }, s) => writeColumns(block, results[s], [mine, width(of)], (sum) => sum, anchor));
}

/** What names of values call an operand. */
const hintOf = ({ own: [q, k, v] }: Gradient, node: Node): string =>
  new Map([[v, 'v'], [q, 'q'], [k, 'k']]).get(node) ?? 'dy'; // prettier-ignore

const valueAt = ({ site: { inline } }: Gradient, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

const factsOf = (gradient: Gradient, query: Index, spent: Expr): Facts => {
  const { stats, batch, site } = gradient;
  const stat = (i: number) => site.b.bind('stat', valueAt(gradient, stats, [...batch, query, fixedIndex(i)]));
  return [stat(0), stat(1), spent];
};

/** Σ dy∘out of a query. */
function spentOf(gradient: Gradient, query: Index): Expr {
  const { site, dy, out, batch } = gradient;
  const { b, inline } = site;
  const width = dy.type.shape.at(-1)!;
  const sum = b.variable('spent', number(site, 0));
  b.loop(
    'c',
    width,
    (c) => {
      const [x, y] = [dy, out].map((node) => valueAt(gradient, node, [...batch, query, inline.ix.atom(c, width - 1)]));
      b.assign(sum, b.call('fma', [x, y, b.read(sum)]));
    },
    true,
  );
  return b.read(sum);
}

/** Tells all lanes that of a block of queries that they walk over; a lane adds up that of four. A barrier is to follow. */
function shareSpent(gradient: Gradient, { n, lane }: SubgroupWalk, query0: Index): void {
  const { site, memory } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const query = (u: number) => ix.clamp(ix.offset(ix.add(query0, ix.scale(lane, 4)), u), n - 1, 'query');
  const four = range(4).map((u) => spentOf(gradient, query(u)));
  b.storeShared(memory.spent, ix.expr(lane), b.call('vec4f', four, 'vec4f'));
}

/** P, and the derivatives by q·k, of the lane's row h and the four others of step i; 0 of those that are not there. */
function differentiate(
  gradient: Gradient,
  block: SubgroupWalk,
  { h, i, four }: { h: number; i: Expr; four: Step },
  ownFacts: Facts | undefined,
  hasSlopes: boolean,
): { weight: Expr; slope?: Expr } {
  const { site, batch, memory } = gradient;
  const { b } = site;
  const place = ownPlace(block, h, i);
  const products = b.bind('products', b.loadShared(memory.scores, place));
  const gains = hasSlopes ? b.bind('gained', b.loadShared(memory.gains, place)) : undefined;
  const spent = hasSlopes && !ownFacts ? b.bind('spent', b.loadShared(memory.spent, i)) : undefined;
  const made = four.others.map((other, u) => {
    const [query, key] = ownFacts ? [block.rows[h], other] : [other, block.rows[h]];
    const facts = ownFacts ?? factsOf(gradient, query, spent ? b.component(spent, u) : number(site, 0));
    const gained = gains && b.component(gains, u);
    const { weight, slope } = weightAndSlope(site, gradient.own, [...batch, query, key], b.component(products, u), gained, facts); // prettier-ignore
    const present = (value: Expr) => four.present(u, value, number(site, 0));
    return { weight: present(weight), slope: slope && present(slope) };
  });
  const vector = (values: readonly Expr[]) => b.bind('four', asVector(site, values));
  return {
    weight: vector(made.map(({ weight }) => weight)),
    ...(gains && { slope: vector(made.map(({ slope }) => slope!)) }),
  };
}
