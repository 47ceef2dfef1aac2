/** Random graphs: they verify, print and parse back, rebuild, run, and differentiate. */
import { describe, expect, it } from 'vitest';
import {
  isFloat,
  nodesOf,
  parseGraph,
  printGraph,
  rebuild,
  results,
  verify,
  type Graph,
} from '../../../compiler/ir/index.ts';
import { allOps, interpret, opTable } from '../../../compiler/ops/index.ts';
import { randomGraph } from '../../helpers/random-graph.ts';

/** Few graphs have weights behind an attention: three of those that do are among them. */
const SEEDS = [...Array.from({ length: 80 }, (_, seed) => seed), 370, 980, 6146];
const cases = SEEDS.map((seed) => randomGraph(seed, { size: 5 + (seed % 20), gradients: seed % 2 === 0 }));

describe('random graphs', () => {
  it('are the same for the same seed', () => {
    const again = randomGraph(7, { size: 12, gradients: false });
    expect(printGraph(again.graph)).toBe(printGraph(randomGraph(7, { size: 12 }).graph));
    expect(again.bindings).toEqual(randomGraph(7).bindings);
  });

  it('verify', () => {
    for (const { graph } of cases) verify(graph, opTable);
  });

  it('print and parse back to the same text and meaning, and rebuild to the same', () => {
    for (const { graph, bindings } of cases) {
      const wanted = interpret(graph, bindings);
      const text = printGraph(graph);
      const parsed = verify(parseGraph(text, opTable), opTable);
      const rebuilt = verify(
        rebuild(graph, opTable, () => undefined),
        opTable,
      );
      for (const same of [parsed, rebuilt]) {
        expect(printGraph(same)).toBe(text);
        expect(interpret(same, bindings)).toEqual(wanted);
      }
    }
  });

  it('have finite values that are not all zero', () => {
    for (const { graph, bindings } of cases) {
      for (const { data } of Object.values(interpret(graph, bindings).outputs)) {
        expect(data.every(Number.isFinite) && data.some((x) => x !== 0)).toBe(true);
      }
    }
  });

  it('use every op', () => {
    const used = new Set(cases.flatMap(({ graph }) => nodesOf(graph).map((n) => n.op)));
    // `gradient` asks a pass for the derivative of a scalar loss, which random graphs do not have; parts of loops have tests of their own.
    const rare = ['or', 'shift_left', 'gradient', 'loop', 'write_slice'];
    expect(
      allOps()
        .map((def) => def.name)
        .filter((name) => !used.has(name) && !rare.includes(name)),
    ).toEqual([]);
  });

  it('are neither trivial nor large', () => {
    const count = (graph: Graph) => nodesOf(graph).length;
    for (const { graph } of cases) {
      expect(count(graph)).toBeLessThan(2000);
      expect(results(graph).some((n) => isFloat(n.type.dtype))).toBe(true);
    }
    expect(cases.filter(({ graph }) => count(graph) > 20).length).toBeGreaterThan(50);
  });
});
