/**
 * Derivatives of attention by blocks in registers: products of own rows and others become P and the derivatives by q·k, by which other
 * rows are then added up.
 */
import type { Node } from '../../ir/index.ts';
import { gradientOperands } from '../../ops/index.ts';
import type { Index } from '../../kernel/index-map.ts';
import type { Expr } from '../../kernel/ir.ts';
import { batchIndex, range, type Launch, type Site } from '../common.ts';
import { derivativesOf, writeWalks, type Direction } from '../gradient-walks.ts';
import { blockOf, columnOf, rowOf, teamOf, type Block } from '../register-blocks.ts';
import { addProducts, addWeighted, layoutOf, presentOr, tall, wide, writeBlock } from '../score-blocks.ts';
import { weightAndSlope } from '../scores.ts';
import { factsOf, shareFacts, type Facts, type Gradient } from './facts.ts';
import type { TiledGradientPlan } from './plan.ts';

export function tiledAttentionGradient(site: Site, plan: TiledGradientPlan): Launch {
  const { b, region } = site;
  const { dims } = derivativesOf(region);
  const layout = layoutOf(plan, Math.max(dims.d, dims.e), true);
  const team = teamOf(site, plan, b.sharedArray('tile', layout.vectors, 'vec4f'));
  const operands = gradientOperands(region.anchor!.inputs);
  const batch = batchIndex(site, dims.batch);
  const gradient: Gradient = { site, team, blocks: plan, layout, batch, ...operands, queries: dims.m };
  const grid = writeWalks(site, tall(plan), (direction) => walk(gradient, direction));
  return {
    workgroupSize: plan.down * plan.across,
    grid,
    ...(plan.subgroup && { subgroup: { size: plan.subgroup, sized: plan.sized } }),
  };
}

function walk(gradient: Gradient, direction: Direction): void {
  const { site, team, blocks } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const { own, row0, mine, others, scored, gained, sums } = direction;
  const width = (node: Node) => node.type.shape.at(-1)!;
  const results = sums.map(({ of }) => blockOf(team, Math.ceil(width(of) / blocks.across), 'sum'));
  const ownFacts = own === 'queries' ? factsOf(gradient, team, row0) : undefined;
  const hasSlopes = sums.some(({ by }) => by === 'slope');
  const count = Math.ceil(others / wide(blocks));
  b.loop('block', count, (t) => {
    const other0 = ix.scale(ix.atom(t, count - 1), wide(blocks));
    if (!ownFacts) shareFacts(gradient, other0);
    b.comment('scores, and what dy gains by the values');
    const products = ([node, other]: readonly [Node, Node], hint: string): Block => {
      const block = blockOf(team, blocks.others, hint);
      addProducts(gradient, block, { node, from: row0 }, { node: other, from: other0 });
      return block;
    };
    const weights = products(scored, 'weight');
    const slopes = hasSlopes ? products(gained, 'slope') : undefined;
    differentiate(gradient, direction, other0, weights, slopes, ownFacts);
    sums.forEach(({ of, by, anchor }, s) => {
      b.comment(`${anchor.op} of this block`);
      addWeighted(gradient, results[s], by === 'weight' ? weights : slopes!, { node: of, from: other0 });
    });
  });
  sums.forEach(({ anchor, of }, s) => writeBlock(gradient, results[s], [row0, mine], width(of), anchor));
}

/** Products become P, and what dy gains the derivatives by q·k; of rows that are not there, 0. */
function differentiate(
  gradient: Gradient,
  { own, row0, mine, others }: Direction,
  other0: Index,
  weights: Block,
  slopes: Block | undefined,
  ownFacts: readonly Facts[] | undefined,
): void {
  const { site, team, layout, batch } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const nothing = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  weights.forEach((quads, c) => {
    const other = ix.add(other0, columnOf(team, c));
    const inside = ix.clamp(other, others - 1, 'other');
    const place = ix.expr(ix.offset(columnOf(team, c), layout.facts));
    const shared = ownFacts ? undefined : b.bind('facts', b.loadShared(team.memory, place));
    quads.forEach((weight, j) => {
      const parts = range(4).map((r) => {
        const row = ix.clamp(ix.add(row0, rowOf(team, j, r)), mine - 1, 'own');
        const [query, key] = own === 'queries' ? [row, inside] : [inside, row];
        const facts = range(3).map((i) => (shared ? b.component(shared, i) : b.component(ownFacts![j][i], r)));
        const gained = slopes && b.component(b.read(slopes[c][j]), r);
        return weightAndSlope(
          site,
          gradient.own,
          [...batch, query, key],
          b.component(b.read(weight), r),
          gained,
          facts,
        );
      });
      const present = (values: readonly Expr[]) =>
        presentOr(site, other, others, b.call('vec4f', values, 'vec4f'), nothing);
      b.assign(weight, present(parts.map((part) => part.weight)));
      if (slopes) b.assign(slopes[c][j], present(parts.map((part) => part.slope!)));
    });
  });
}
