/** Graphs of entries written for a test, and values for their leaves. */
import type { Entry, Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf, type Graph } from '../../compiler/ir/index.ts';
import { Random, type Bindings } from '../../compiler/ops/index.ts';
import { drawValues } from './samples.ts';

export type Outputs = Record<string, Tensor>;

export const traced = (forward: (e: Entry) => Outputs): Graph =>
  traceEntry({ config: {}, entries: { forward } }, 'forward', { batch: 1 }).graph;

export function valuesFor(graph: Graph): Bindings {
  const random = new Random(5);
  const leaves = nodesOf(graph).filter(({ op }) => op === 'input' || op === 'param' || op === 'state');
  return Object.fromEntries(leaves.map(({ attrs, type }) => [String(attrs.name), drawValues(random, type, type.dtype === 'i32' ? [0, 3] : [-0.5, 0.5])])); // prettier-ignore
}
