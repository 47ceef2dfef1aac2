/** The graphs of the fuzzer, by number. */
import { nodesOf, sizeOf, type Graph } from '../../compiler/ir/index.ts';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { interpret, Random, type Interpreted } from '../../compiler/ops/index.ts';
import { randomGraph } from '../helpers/random-graph.ts';
import { LOOPING_STEPS } from '../helpers/random-loop.ts';
import { resultsGraph } from '../helpers/results-graph.ts';
import { drawValues } from '../helpers/samples.ts';
import { updatesGraph } from '../helpers/updates-graph.ts';
import { layersGraph } from './layers.ts';

export interface Case {
  readonly graph: Graph;
  readonly bindings: Readonly<Record<string, Float64Array>>;
}

/** Kinds of graphs; the number of a case says which it is of. */
const KINDS: readonly ((seed: number) => Case)[] = [
  layersGraph,
  (seed) => randomGraph(seed, { size: 4 + (seed % 14), gradients: seed % 2 === 0 }),
  layersGraph,
  resultsGraph,
  layersGraph,
  (seed) => randomGraph(seed, { size: 4 + (seed % 14), gradients: seed % 3 > 0 }),
  (seed) => withValues(updatesGraph(seed, seed % 2 === 0), seed),
  layersGraph,
  (seed) => randomGraph(seed, { size: 3 + (seed % 6), gradients: seed % 2 === 0, steps: LOOPING_STEPS, slices: true }),
];

/** Most relative error of float32 in every op: what is worse conditioned is drawn anew. */
const MOST_ROUNDING = 1e-4;

/** Case `number`, well conditioned. */
export function fuzzCase(number: number): Case {
  for (let attempt = 0; ; attempt++) {
    const made = KINDS[number % KINDS.length](number + attempt * 1_000_003);
    if (isSound(made)) return made;
  }
}

function isSound({ graph, bindings }: Case): boolean {
  const resolved = resolveGradients(graph);
  if (nodesOf(resolved).some(({ type }) => sizeOf(type.shape) > 60_000)) return false;
  const [exact, rounded] = [false, true].map((f32) => valuesOf(interpret(resolved, bindings, { f32 })));
  return exact.every(([, data], i) => {
    const [off, norm] = distance(data, rounded[i][1]);
    return off <= MOST_ROUNDING * norm + 1e-6 && data.every((x) => Math.abs(x) < 1000);
  });
}

/** What a graph gives, by name. */
export const valuesOf = ({ outputs, updates }: Interpreted): [string, Float64Array][] => [
  ...Object.entries(outputs).map(([name, { data }]): [string, Float64Array] => [name, data]),
  ...Object.entries(updates).map(([name, { data }]): [string, Float64Array] => [`next ${name}`, data]),
];

/** ‖x − y‖ and ‖x‖; NaN where anything is. */
export function distance(x: Float64Array, y: Float64Array): [off: number, norm: number] {
  let [off, norm] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    off += (x[i] - y[i]) ** 2;
    norm += x[i] ** 2;
  }
  return [Math.sqrt(off), Math.sqrt(norm)];
}

function withValues(graph: Graph, seed: number): Case {
  const random = new Random(seed);
  const leaves = nodesOf(graph).filter(({ attrs }) => typeof attrs.name === 'string');
  return { graph, bindings: Object.fromEntries(leaves.map((n) => [String(n.attrs.name), drawValues(random, n.type)])) };
}
