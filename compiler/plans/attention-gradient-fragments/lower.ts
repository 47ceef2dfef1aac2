/**
 * Derivatives of attention on matrix units, without its weights in memory. Some workgroups own queries and walk over the keys for dq,
 * others own keys and walk over the queries for dk and dv; both compute scores anew. Weights and slopes are computed in f32 and
 * rounded to what the fragments hold, as dy is. Dao et al. 2022, algorithm 4.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { gradientOperands } from '../../ops/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { derivativesOf, gridOf } from '../attention-gradient-tiled/plan.ts';
import { batchIndex, boundedGroup, range, type Launch, type Site } from '../common.ts';
import { presentOr, rowFour, valueAt } from '../score-blocks.ts';
import {
  acrossRow,
  addWeighted,
  eachProduct,
  putWeights,
  stageOwn,
  sumsOf,
  tall,
  walkOf,
  wide,
  writeSums,
  type FragmentWalk,
} from '../score-fragments.ts';
import { weightAndSlope } from '../scores.ts';
import { widthsOf, type FragmentGradientPlan } from './plan.ts';

interface Gradient extends FragmentWalk {
  readonly operands: ReturnType<typeof gradientOperands<Node>>;
  readonly queries: number;
  /** Of each query of a block that keys walk over: largest score, share, Σ dy∘out. */
  readonly facts: SharedArray;
}

interface Direction {
  readonly own: 'queries' | 'keys';
  readonly row0: Index;
  readonly mine: number;
  readonly others: number;
  /** Own and other rows of the products: scores, and what dy gains by the values. */
  readonly scored: readonly [own: Node, other: Node];
  readonly gained: readonly [own: Node, other: Node];
  /** Rows added up by P, or by the derivatives by q·k. */
  readonly sums: readonly { readonly anchor: Node; readonly of: Node; readonly by: 'weight' | 'slope' }[];
}

const width = (node: Node): number => node.type.shape.at(-1)!;

export function fragmentAttentionGradient(site: Site, plan: FragmentGradientPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { dq, dk, dv, dims } = derivativesOf(region);
  const operands = gradientOperands(region.anchor!.inputs);
  const walk = walkOf({ site, batch: batchIndex(site, dims.batch) }, plan, widthsOf(region));
  const gradient: Gradient = { ...walk, operands, queries: dims.m, facts: b.sharedArray('facts', wide(plan), 'vec4f') };
  const [queries, keys] = gridOf(tall(plan), region);
  const group = boundedGroup(site, 'groupX', queries + keys);
  const { dy } = operands;
  const [q, k, v] = operands.own;
  const byQuery = () =>
    walkOver(gradient, {
      own: 'queries',
      row0: ix.scale(ix.clamp(group, queries - 1, 'rows'), tall(plan)),
      mine: dims.m,
      others: dims.n,
      scored: [q, k],
      gained: [dy, v],
      sums: [{ anchor: dq!, of: k, by: 'slope' }],
    });
  const byKey = () =>
    walkOver(gradient, {
      own: 'keys',
      row0: ix.scale(ix.shiftDown(group, queries, keys - 1), tall(plan)),
      mine: dims.n,
      others: dims.m,
      scored: [k, q],
      gained: [v, dy],
      sums: [
        ...(dv ? [{ anchor: dv, of: dy, by: 'weight' as const }] : []),
        ...(dk ? [{ anchor: dk, of: q, by: 'slope' as const }] : []),
      ],
    });
  if (queries && keys) {
    b.when(b.binary('<', ix.expr(group), b.u32(queries)), byQuery);
    b.when(b.binary('>=', ix.expr(group), b.u32(queries)), byKey);
  } else if (queries) byQuery();
  else byKey();
  return {
    workgroupSize: plan.down * plan.lanes,
    grid: [queries + keys, 1, sizeOf(dims.batch)],
    subgroup: { size: plan.lanes, sized: plan.sized },
  };
}

function walkOver(gradient: Gradient, direction: Direction): void {
  const { site, plan, row } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { own, row0, mine, others, scored, gained, sums } = direction;
  const hasSlopes = sums.some(({ by }) => by === 'slope');
  stageOwn(gradient, 0, { node: scored[0], from: row0 });
  if (hasSlopes) stageOwn(gradient, 1, { node: gained[0], from: row0 });
  const ownFacts = own === 'queries' ? factsOf(gradient, ix.add(row0, row)) : undefined;
  const results = sums.map(({ of }) => sumsOf(gradient, width(of)));
  const blocks = Math.ceil(others / wide(plan));
  b.loop('block', blocks, (t) => {
    const from = ix.scale(ix.atom(t, blocks - 1), wide(plan));
    if (!ownFacts) shareFacts(gradient, from);
    b.comment('scores, and what dy gains by the values');
    const products: [four: Index, scores: Expr, gained?: Expr][] = [];
    eachProduct(gradient, 0, { node: scored[1], from }, (four, value) => products.push([four, value]));
    let next = 0;
    if (hasSlopes) eachProduct(gradient, 1, { node: gained[1], from }, (_, value) => (products[next++][2] = value));
    const made = products.map(([four, score, gain]) => {
      return {
        four,
        ...derivatives(gradient, direction, ix.add(from, ix.scale(four, 4)), four, [score, gain], ownFacts),
      };
    });
    sums.forEach(({ anchor, of, by }, s) => {
      b.comment(`${anchor.op} of this block`);
      made.forEach((one) => putWeights(gradient, one.four, by === 'weight' ? one.weight : one.slope!));
      addWeighted(gradient, results[s], { node: of, from });
    });
  });
  sums.forEach(({ anchor, of }, s) => writeSums(gradient, results[s], [row0, mine], width(of), anchor));
}

/** Largest score, share and Σ dy∘out of a query: the lanes of a row share the work. */
function factsOf(gradient: Gradient, query: Index): Expr[] {
  const { site, batch, operands, queries, part, parts } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { dy, out, stats } = operands;
  const inside = ix.clamp(query, queries - 1, 'query');
  const rounds = Math.ceil(width(dy) / 4 / parts);
  const spent = b.variable('spent', b.literal(0, 'f32'));
  const addRound = (i: Expr) => {
    const four = ix.add(part, ix.scale(ix.atom(i, rounds - 1), parts));
    const both = [dy, out].map((node) => b.bind('four', rowFour(gradient, node, inside, four)));
    b.assign(spent, b.binary('+', b.read(spent), b.call('dot', both, 'f32')));
  };
  // Unrolled, it would have all of its loads under way at once, in more registers than there are.
  b.loop('round', rounds, addRound, true);
  const all = acrossRow(gradient, b.read(spent), (x, y) => b.binary('+', x, y));
  const known = range(2).map((i) => b.bind('stat', valueAt(gradient, stats, [...batch, inside, fixedIndex(i)])));
  return [...known, all];
}

/** Tells the workgroup what is known of a block of queries. A barrier is to follow. */
function shareFacts(gradient: Gradient, query0: Index): void {
  const { site, plan, facts, row, part } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  b.comment('of this block of queries: largest score, share, Σ dy∘out');
  range(Math.ceil(wide(plan) / tall(plan))).forEach((s) => {
    const local = ix.offset(row, s * tall(plan));
    const known = factsOf(gradient, ix.add(query0, local));
    const isFirst = b.binary('==', ix.expr(part), b.u32(0));
    const isInside = b.binary('<', ix.expr(local), b.u32(wide(plan)));
    const store = () => b.storeShared(facts, ix.expr(local), b.call('vec4f', [...known, b.literal(0, 'f32')], 'vec4f'));
    b.when((s + 1) * tall(plan) > wide(plan) ? b.binary('&&', isFirst, isInside) : isFirst, store);
  });
}

/** P and the derivatives by q·k of the lane's row and four others; of rows that are not there, 0. */
function derivatives(
  { site, batch, row, operands, facts }: Gradient,
  { own, row0, mine, others }: Direction,
  first: Index,
  four: Index,
  [products, gained]: readonly [Expr, Expr?],
  ownFacts: readonly Expr[] | undefined,
): { weight: Expr; slope?: Expr } {
  const { b, inline } = site;
  const { ix } = inline;
  const zero = b.literal(0, 'f32');
  const rowAt = ix.clamp(ix.add(row0, row), mine - 1, 'own');
  const made = range(4).map((u) => {
    const other = ix.offset(first, u);
    const inside = ix.clamp(other, others - 1, 'other');
    const [query, key] = own === 'queries' ? [rowAt, inside] : [inside, rowAt];
    const place = ix.expr(ix.offset(ix.scale(four, 4), u));
    const shared = ownFacts ? undefined : b.bind('known', b.loadShared(facts, place));
    const known = ownFacts ?? range(3).map((i) => b.component(shared!, i));
    const gain = gained && b.component(gained, u);
    const of = weightAndSlope(site, operands.own, [...batch, query, key], b.component(products, u), gain, known);
    const present = (value: Expr) => presentOr(site, other, others, value, zero);
    return { weight: present(of.weight), slope: of.slope && present(of.slope) };
  });
  const vector = (parts: readonly Expr[]) => b.bind('made', b.call('vec4f', parts, 'vec4f'));
  return {
    weight: vector(made.map(({ weight }) => weight)),
    ...(gained && { slope: vector(made.map(({ slope }) => slope!)) }),
  };
}
