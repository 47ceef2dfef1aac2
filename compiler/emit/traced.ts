/** All that a model file decides of its artefact, and its digest: an artefact is a function of it and of the build's options. */
import { createHash, type Hash } from 'node:crypto';
import type { TracedEntry } from '../dsl/model.ts';
import type { DeclaredParam } from '../dsl/trace.ts';
import {
  formatType,
  isGraph,
  nodesOf,
  numberKey,
  printGraph,
  type Attrs,
  type AttrValue,
  type Graph,
  type Node,
} from '../ir/index.ts';
import type { Manifest } from './artefact.ts';
import { named, type Naming } from './declare.ts';
import type { StartedBy } from './starts.ts';

export interface TracedModel {
  /** The entries to be compiled. */
  readonly entries: readonly TracedEntry[];
  /** What each of them goes on from. */
  readonly starts: ReadonlyMap<string, StartedBy>;
  /** Parameters of the model that none of them reads. */
  readonly otherParams: readonly string[];
  /** How checkpoints name its parameters. */
  readonly naming?: Naming;
  /** What files in other layouts must agree on with it. */
  readonly layouts?: Manifest['layouts'];
  /** What the entries were traced with. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Of what was traced, places and names of values included. A model that reads the time, a file or a random number is known by
 * what it made of it.
 */
export function digestOfTrace(traced: TracedModel): string {
  const { entries, starts, otherParams, naming, layouts, options, ...others } = traced;
  allTold(others);
  const hash = createHash('sha256');
  for (const entry of entries) addEntry(hash, entry);
  const declared = entries.flatMap(({ params }) => params.map(({ node }) => String(node.attrs.name)));
  const names = [...new Set([...declared, ...otherParams])].map((name) => named(name, naming));
  return hash
    .update(JSON.stringify([...starts]))
    .update(JSON.stringify([names, otherParams, layouts, options]))
    .digest('hex');
}

/** Takes what is left of a value when all that is told of it is gone: a field that is new does not pass the type check. */
const allTold = (_others: Readonly<Record<string, never>>): void => undefined;

function addEntry(hash: Hash, { graph, classes, params, states, ...others }: TracedEntry): void {
  allTold(others);
  const ids = new Map<Node, number>();
  const id = (node: Node): number => {
    if (!ids.has(node)) {
      ids.set(node, ids.size);
      hash.update(nodeText(node, ids));
    }
    return ids.get(node)!;
  };
  nodesOf(graph).forEach(id);
  const declared = (list: readonly DeclaredParam[]) =>
    list.map(({ node, init, frozen, resize, ...others }) => {
      allTold(others);
      return `${id(node)} ${attrsText({ ...init })} ${Boolean(frozen)} ${JSON.stringify(resize)}`;
    });
  const known = [...(classes ?? [])];
  hash.update(JSON.stringify([known, declared(params), declared(states)])).update(JSON.stringify(frameOf(graph, id)));
}

function frameOf({ name, inputs, outputs, updates, part, ...others }: Graph, id: (node: Node) => number): unknown[] {
  allTold(others);
  const values = outputs.map((output) => [output.name, id(output.node)]);
  return [name, inputs.map(id), values, updates.map(({ state, node }) => [id(state), id(node)]), part];
}

function nodeText(node: Node, ids: ReadonlyMap<Node, number>): string {
  const { id: _id, op, inputs, attrs, type, copy, name, loc, origin, ...others } = node;
  allTold(others);
  const operands = inputs.map((input) => ids.get(input));
  return `${JSON.stringify([op, operands, attrsText(attrs), formatType(type), copy, name, loc, origin])}\n`;
}

export const attrsText = (attrs: Attrs): string =>
  Object.keys(attrs)
    .sort()
    .map((key) => `${key}=${valueText(attrs[key])}`)
    .join(';');

function valueText(value: AttrValue): string {
  if (value instanceof Float64Array) return contentOf(value);
  if (isGraph(value)) return printGraph(value);
  if (typeof value === 'object') return `[${value.map(numberKey).join(',')}]`;
  return typeof value === 'number' ? numberKey(value) : JSON.stringify(value);
}

const contents = new WeakMap<Float64Array, string>();

/** Of an array once: a position table is 300,000 numbers, and several entries have it. */
function contentOf(data: Float64Array): string {
  const known = contents.get(data);
  if (known !== undefined) return known;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const digest = createHash('sha256').update(bytes).digest('hex');
  contents.set(data, digest);
  return digest;
}
