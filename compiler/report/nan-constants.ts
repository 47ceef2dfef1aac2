/** What a model computes of nothing but constants and is NaN: a slip of its own code, which spoils all that reads it. */
import { nodesOf, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { interpret, opDef } from '../ops/index.ts';

/** Elements of a value that is looked at: larger ones are tables, computed of smaller ones. */
const MOST = 4096;

/** Values of a graph as traced that are NaN where nothing that they are computed of is, a sentence with its place for each. */
export function nanConstants(graph: Graph): string[] {
  const known = new Set<Node>();
  for (const node of nodesOf(graph)) if (isKnown(node, known)) known.add(node);
  const outputs = [...known].map((node, i) => ({ name: `${i}`, node }));
  if (!outputs.length) return [];
  const values = interpret({ name: graph.name, inputs: [], outputs, updates: [] }, {}, { f32: true }).outputs;
  const spoilt = new Set(outputs.filter(({ name }) => values[name].data.some(Number.isNaN)).map(({ node }) => node));
  const first = [...spoilt].filter(({ inputs }) => !inputs.some((input) => spoilt.has(input)));
  return [...new Set(first.map(sentence))];
}

function isKnown({ op, type, inputs }: Node, known: ReadonlySet<Node>): boolean {
  const { kind } = opDef(op);
  const isSource = op === 'constant' || op === 'iota';
  const isComputed = inputs.length > 0 && inputs.every((input) => known.has(input)) && kind !== 'request';
  return (isSource || isComputed) && sizeOf(type.shape) <= MOST;
}

function sentence({ op, name, attrs, inputs, loc }: Node): string {
  const numbers = inputs.map((input) => (typeof input.attrs.value === 'number' ? `${input.attrs.value}` : '…'));
  const how = op === 'constant' ? '' : `: ${op}(${numbers.join(', ')})`;
  const what = name ?? (typeof attrs.name === 'string' ? attrs.name : `a ${op === 'constant' ? 'constant' : 'value'}`);
  return `${loc ? `${loc}: ` : ''}${what} is NaN, whatever the inputs are${how}`;
}
