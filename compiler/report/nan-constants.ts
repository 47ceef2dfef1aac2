/** What a model computes of nothing but constants and is NaN: a slip of its own code, which spoils all that reads it. */
import { nodesOf, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { interpret, isKnown } from '../ops/index.ts';

/** Elements of a value that is looked at: larger ones are tables, computed of smaller ones. */
const MOST = 4096;

/** Values of a graph as traced that are NaN where nothing that they are computed of is, a sentence with its place for each. */
export function nanConstants(graph: Graph): string[] {
  const known = new Set<Node>();
  const isSmall = ({ type }: Node) => sizeOf(type.shape) <= MOST;
  for (const node of nodesOf(graph)) if (isSmall(node) && isKnown(node, (input) => known.has(input))) known.add(node);
  const outputs = [...known].map((node, i) => ({ name: `${i}`, node }));
  if (!outputs.length) return [];
  const values = interpret({ name: graph.name, inputs: [], outputs, updates: [] }, {}, { f32: true }).outputs;
  const spoilt = new Set(outputs.filter(({ name }) => values[name].data.some(Number.isNaN)).map(({ node }) => node));
  const first = [...spoilt].filter(({ inputs }) => !inputs.some((input) => spoilt.has(input)));
  return [...new Set(first.map(sentence))];
}

function sentence({ op, name, attrs, inputs, loc }: Node): string {
  const numbers = inputs.map((input) => (typeof input.attrs.value === 'number' ? `${input.attrs.value}` : '…'));
  const how = op === 'constant' ? '' : `: ${op}(${numbers.join(', ')})`;
  const what = name ?? (typeof attrs.name === 'string' ? attrs.name : `a ${op === 'constant' ? 'constant' : 'value'}`);
  return `${loc ? `${loc}: ` : ''}${what} is NaN, whatever the inputs are${how}`;
}
