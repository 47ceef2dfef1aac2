/**
 * Derivatives of attention on matrix units. Weights and slopes are computed in f32 and rounded to what the fragments hold, as dy is.
 */
import type { Node } from '../../ir/index.ts';
import { gradientOperands } from '../../ops/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { boundedBatch, builtins, range, type Launch, type Site } from '../common.ts';
import { derivativesOf, writeWalks, type Direction } from '../gradient-walks.ts';
import { splat } from '../register-blocks.ts';
import { rowFour, valueAt } from '../score-blocks.ts';
import {
  acrossRow,
  addWeighted,
  eachProduct,
  invocations,
  overBlocks,
  putWeights,
  stageOwn,
  sumsOf,
  tall,
  walkOf,
  wide,
  writeSums,
  type FragmentWalk,
} from '../score-fragments.ts';
import { measureOf, plainScale, plainWeights, presentFour } from '../score-weights.ts';
import { weightAndSlope } from '../scores.ts';
import { widthsOf, type FragmentGradientPlan } from './plan.ts';

interface Gradient extends FragmentWalk {
  readonly operands: ReturnType<typeof gradientOperands<Node>>;
  readonly queries: number;
  /** What makes a score of a product, where nothing else does (score-weights.ts). */
  readonly scale: number | undefined;
  /** Of each query of a block that keys walk over (`factsOf`). */
  readonly facts: SharedArray;
}

const width = (node: Node): number => node.type.shape.at(-1)!;

export function fragmentAttentionGradient(site: Site, plan: FragmentGradientPlan): Launch {
  const { b, region } = site;
  const { dims } = derivativesOf(region);
  const operands = gradientOperands(region.anchor!.inputs);
  const walk = walkOf({ site, batch: boundedBatch(site, dims.batch) }, plan, widthsOf(region));
  const scale = plainScale(site, operands.own);
  const facts = b.sharedArray('facts', wide(plan), 'vec4f');
  const gradient: Gradient = { ...walk, operands, queries: dims.m, scale, facts };
  const grid = writeWalks(site, tall(plan), (direction) => walkOver(gradient, direction));
  return {
    workgroupSize: plan.down * plan.lanes,
    grid,
    subgroup: { size: plan.lanes, sized: plan.sized },
  };
}

function walkOver(gradient: Gradient, direction: Direction): void {
  const { site, row } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { own, row0, mine, others, scored, gained, sums } = direction;
  const hasSlopes = sums.some(({ by }) => by === 'slope');
  stageOwn(gradient, 0, { node: scored[0], from: row0 });
  if (hasSlopes) stageOwn(gradient, 1, { node: gained[0], from: row0 });
  const ownFacts = own === 'queries' ? factsOf(gradient, ix.add(row0, row)) : undefined;
  const results = sums.map(({ of }) => sumsOf(gradient, width(of)));
  overBlocks(gradient, others, (from) => {
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

/** Numbers of a row that a lane has under way at a time, in vectors. */
const UNDER_WAY = 12;

/** Σ dy∘out of a query: the lanes of a row share the work, two vectors beside each other at a time. */
function spentOf(gradient: Gradient, query: Index): Expr {
  const { site, operands, part, parts } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { dy, out } = operands;
  const rounds = Math.ceil(width(dy) / 8 / parts);
  const turns = Math.ceil((2 * rounds) / UNDER_WAY);
  const each = Math.ceil(rounds / turns);
  const spent = b.variable('spent', b.literal(0, 'f32'));
  const addTurn = (turn: Expr) => {
    const first = ix.scale(ix.atom(turn, turns - 1), each);
    const fours = range(each).flatMap((i) => {
      const two = ix.add(part, ix.scale(ix.offset(first, i), parts));
      return range(2).map((v) => ix.offset(ix.scale(two, 2), v));
    });
    const pairs = fours.map((four) => [dy, out].map((node) => b.bind('four', rowFour(gradient, node, query, four))));
    const sum = pairs.map((pair) => b.call('dot', pair, 'f32')).reduce((x, y) => b.binary('+', x, y));
    b.assign(spent, b.binary('+', b.read(spent), sum));
  };
  // Unrolled, it would have all of its loads under way at once, in more registers than there are.
  b.loop('turn', turns, addTurn, true);
  return acrossRow(gradient, b.read(spent), (x, y) => b.binary('+', x, y));
}

/**
 * Of a query: its largest score, share and Σ dy∘out. Where scores are plain: what its products are weighed by, share, what is spent of a
 * slope, and what is added to each weight.
 */
function factsOf(gradient: Gradient, query: Index): Expr[] {
  const { site, batch, operands, queries, scale } = gradient;
  const { b, inline } = site;
  const inside = inline.ix.clamp(query, queries - 1, 'query');
  const spent = spentOf(gradient, inside);
  const [largest, share] = range(2).map((i) =>
    b.bind('stat', valueAt(gradient, operands.stats, [...batch, inside, fixedIndex(i)])),
  );
  if (scale === undefined) return [largest, share, spent];
  const { offset, even } = measureOf(site, largest);
  const added = b.bind('added', b.binary('*', even, share));
  return [offset, share, b.bind('spent', b.binary('*', spent, b.literal(-scale, 'f32'))), added];
}

/** Tells the workgroup what is known of a block of queries. A barrier is to follow. */
function shareFacts(gradient: Gradient, query0: Index): void {
  const { site, plan, facts } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  b.comment('what is known of this block of queries');
  // As many lanes a row as two subgroups have: by more of them, sums would be in another order.
  const lanes = invocations(plan);
  const parts = Math.max(plan.lanes / plan.m, Math.min(plan.lanes, (2 * plan.lanes) / wide(plan)));
  const [row, part] = ix.divmod(ix.atom(builtins(b).lane, lanes - 1), parts);
  const atOnce = lanes / parts;
  range(Math.ceil(wide(plan) / atOnce)).forEach((s) => {
    const local = ix.offset(row, s * atOnce);
    const known = factsOf({ ...gradient, part, parts }, ix.add(query0, local));
    const isFirst = b.binary('==', ix.expr(part), b.u32(0));
    const isInside = b.binary('<', ix.expr(local), b.u32(wide(plan)));
    const four = range(4).map((i) => known[i] ?? b.literal(0, 'f32'));
    const store = () => b.storeShared(facts, ix.expr(local), b.call('vec4f', four, 'vec4f'));
    b.when((s + 1) * atOnce > wide(plan) ? b.binary('&&', isFirst, isInside) : isFirst, store);
  });
}

interface Derivatives {
  readonly weight: Expr;
  readonly slope?: Expr;
}

/** P and the derivatives by q·k of the lane's row and four others, from one on; of rows that are not there, 0. */
function derivatives(
  gradient: Gradient,
  direction: Direction,
  first: Index,
  four: Index,
  products: readonly [scores: Expr, gained?: Expr],
  ownFacts: readonly Expr[] | undefined,
): Derivatives {
  const { site, facts } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const shared = range(4).map(
    (u) =>
      ownFacts ?? componentsOf(site, b.bind('known', b.loadShared(facts, ix.expr(ix.offset(ix.scale(four, 4), u))))),
  );
  const { weight, slope } =
    gradient.scale === undefined
      ? singly(gradient, direction, first, products, shared)
      : plainly(
          gradient,
          gradient.scale,
          products,
          range(4).map((i) =>
            vectorOf(
              site,
              shared.map((known) => known[i]),
            ),
          ),
        );
  const present = (value: Expr) =>
    presentFour(site, first, direction.others, b.bind('made', value), b.literal(0, 'f32'));
  return { weight: present(weight), slope: slope && present(slope) };
}

const componentsOf = ({ b }: Site, vector: Expr): Expr[] => range(4).map((i) => b.component(vector, i));

const vectorOf = (site: Site, parts: readonly Expr[]): Expr =>
  parts.every((part) => part === parts[0]) ? splat(site, parts[0]) : site.b.call('vec4f', parts, 'vec4f');

/** Of scores that are products times a number: all four at once. */
function plainly(
  { site }: Gradient,
  scale: number,
  [products, gained]: readonly [Expr, Expr?],
  [offsets, shares, spent, added]: readonly Expr[],
): Derivatives {
  const { b } = site;
  const weight = b.bind('p', b.call('fma', [plainWeights(site, scale, products, offsets), shares, added], 'vec4f'));
  if (!gained) return { weight };
  const slope = b.call('fma', [gained, splat(site, b.literal(scale, 'f32')), spent], 'vec4f');
  return { weight, slope: b.binary('*', weight, slope) };
}

/** Of scores of any kind: one by one. */
function singly(
  { site, batch, row, operands }: Gradient,
  { own, row0, mine, others }: Direction,
  first: Index,
  [products, gained]: readonly [Expr, Expr?],
  facts: readonly (readonly Expr[])[],
): Derivatives {
  const { b, inline } = site;
  const { ix } = inline;
  const rowAt = ix.clamp(ix.add(row0, row), mine - 1, 'own');
  const made = range(4).map((u) => {
    const inside = ix.clamp(ix.offset(first, u), others - 1, 'other');
    const [query, key] = own === 'queries' ? [rowAt, inside] : [inside, rowAt];
    const gain = gained && b.component(gained, u);
    return weightAndSlope(site, operands.own, [...batch, query, key], b.component(products, u), gain, facts[u]);
  });
  return {
    weight: vectorOf(
      site,
      made.map(({ weight }) => weight),
    ),
    ...(gained && {
      slope: vectorOf(
        site,
        made.map(({ slope }) => slope!),
      ),
    }),
  };
}
