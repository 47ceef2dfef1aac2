/** What attention's derivatives know of a query besides its scores: its largest, one over their sum of exponentials, Σ dy∘out. */
import type { Node } from '../../ir/index.ts';
import type { gradientOperands } from '../../ops/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr } from '../../kernel/ir.ts';
import { range } from '../common.ts';
import { alongRows, quadOf, rowOf, zeros, type Team } from '../register-blocks.ts';
import { rowFour, valueAt, wide, type Walk } from '../score-blocks.ts';

export interface Gradient extends Walk, ReturnType<typeof gradientOperands<Node>> {
  /** How many there are. */
  readonly queries: number;
}

/** Vectors over four queries. */
export type Facts = readonly [largest: Expr, share: Expr, spent: Expr];

/** Those of a team's rows, which are queries from one on. Invocations beside each other share the work on a row. */
export function factsOf(gradient: Gradient, team: Team, query0: Index): Facts[] {
  const { site, blocks, layout, dy, out, stats, batch, queries } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const rounds = Math.ceil(dy.type.shape.at(-1)! / 4 / team.across);
  const vector = (parts: readonly Expr[]) => b.call('vec4f', parts, 'vec4f');
  const rows = range(team.quads).map((j) =>
    range(4).map((r) => ix.clamp(ix.add(query0, rowOf(team, j, r)), queries - 1, 'query')),
  );
  const sums = rows.map((_, j) => b.variable(`spent_${j}`, zeros(site)));
  const addRound = (i: Expr) => {
    const four = ix.add(team.column, ix.scale(ix.atom(i, rounds - 1), team.across));
    const partOf = (row: Index) =>
      b.call(
        'dot',
        [dy, out].map((node) => b.bind('four', rowFour(gradient, node, row, four))),
        'f32',
      );
    sums.forEach((sum, j) => b.assign(sum, b.binary('+', b.read(sum), vector(rows[j].map(partOf)))));
  };
  // Unrolled, it would have all of its loads under way at once, in more registers than there are.
  b.loop('round', rounds, addRound, true);
  const add = (x: Expr, y: Expr) => b.binary('+', x, y);
  const parts = sums.map((sum) => b.read(sum));
  const spent = alongRows(team, parts, add, { bySubgroups: blocks.subgroup > 0, start: layout.parts });
  const stat = (four: readonly Index[], i: number) =>
    b.bind('stat', vector(four.map((row) => valueAt(gradient, stats, [...batch, row, fixedIndex(i)]))));
  return rows.map((four, j) => [stat(four, 0), stat(four, 1), b.bind('spent', spent[j])]);
}

/** Tells all invocations what is known of a block of queries that they walk over. A barrier is to follow. */
export function shareFacts(gradient: Gradient, query0: Index): void {
  const { site, team, blocks, layout } = gradient;
  const { b, inline } = site;
  const { ix } = inline;
  const others: Team = { ...team, quads: wide(blocks) / blocks.down / 4 };
  b.comment('of this block of queries: largest score, share, Σ dy∘out');
  const facts = factsOf(gradient, others, query0);
  b.when(b.binary('==', ix.expr(team.column), b.u32(0)), () =>
    facts.forEach((known, j) =>
      range(4).forEach((r) => {
        const place = ix.offset(ix.scale(quadOf(others, j), 4), layout.facts + r);
        const parts = known.map((fact) => b.component(fact, r));
        b.storeShared(team.memory, ix.expr(place), b.call('vec4f', [...parts, b.literal(0, 'f32')], 'vec4f'));
      }),
    ),
  );
}
