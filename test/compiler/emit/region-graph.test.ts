/** Regions as graphs: the kernels of a random graph, run one after the other from their own graphs, give the whole. */
import { describe, expect, it } from 'vitest';
import { regionGraph } from '../../../compiler/emit/region-graph.ts';
import { operandsOf } from '../../../compiler/fusion/regions.ts';
import { parseGraph, printGraph, type Node } from '../../../compiler/ir/index.ts';
import { verify } from '../../../compiler/ir/verify.ts';
import { interpret, interpretNodes, opTable } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { nodesOf } from '../../../compiler/ir/index.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { randomGraph } from '../../helpers/random-graph.ts';

describe('regionGraph', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7])('seed %i: computes what the kernel is for, and parses back', (seed) => {
    const { graph, bindings } = randomGraph(seed, { size: 14, gradients: seed % 4 === 3 });
    const scheduled = schedule(graph, { device: PORTABLE });
    const values = interpretNodes(nodesOf(scheduled.graph), bindings);
    const valueOf = (node: Node) => values.get(node)!.data;
    for (const { region } of scheduled.regions) {
      const own = regionGraph(region);
      verify(own, opTable);
      const text = printGraph(own);
      expect(printGraph(parseGraph(text, opTable))).toBe(text);
      const given = operandsOf(region).map((node, i) => [String(own.inputs[i].attrs.name), valueOf(node)]);
      const { outputs } = interpret(own, Object.fromEntries(given));
      own.outputs.forEach(({ name }, i) => expect(outputs[name].data).toEqual(valueOf(region.results[i].node)));
    }
  });
});
