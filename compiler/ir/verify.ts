/**
 * The verifier: what every pass may assume of a graph. A builder cannot make most of these mistakes; a pass that edits
 * a graph by hand can. Run after every pass in tests and under `--verify`.
 */
import { DitcError, type ErrorParts } from './error.ts';
import { nodesOf, ownerOf, results, type OpTable } from './graph.ts';
import { formatType, isGraph, sizeOf, type TensorType, type Graph, type Node } from './types.ts';

/** Elements of one tensor stay addressable by a signed 32-bit index. */
const MAX_ELEMENTS = 2 ** 31;
/** What the grammar reads after `%`. */
const VALUE_NAME = /^[\p{L}\d_.$]+$/u;
const LEAVES = new Set(['input', 'param', 'state']);

/** A broken rule, with the node that breaks it: whoever knows better where that is can say so. */
export class VerifyError extends DitcError {
  readonly node?: Node;

  constructor(parts: ErrorParts, node?: Node) {
    super(parts);
    this.node = node;
  }
}

/** Throws a VerifyError naming the node, its place and the rule it breaks; returns the graph otherwise. */
export function verify(graph: Graph, ops: OpTable): Graph {
  const nodes = nodesOf(graph);
  checkOrder(graph, nodes);
  for (const node of nodes) checkNode(graph, node, ops);
  checkLeaves(graph, nodes);
  checkOutputs(graph);
  checkUpdates(graph);
  checkOwner(graph, nodes);
  const { times = 1 } = graph.part ?? {};
  if (!(Number.isSafeInteger(times) && times >= 1))
    broken(graph, undefined, 'a part runs once at least', `${times} times`);
  return graph;
}

/** Throws: `models/my.ts:3:5: verify: @forward: %q (matmul, id 7): rule: particulars`. */
function broken(graph: Graph, node: Node | undefined, rule: string, why?: string): never {
  const name = node && (typeof node.attrs.name === 'string' ? node.attrs.name : node.name);
  const about = node && `${name ? `%${name} ` : ''}(${node.op}, id ${node.id})`;
  const what = ['verify', `@${graph.name}`, about, rule].filter(Boolean).join(': ');
  throw new VerifyError({ code: 'verify', where: node?.loc, what, why }, node);
}

/** Ids are unique, and operands come before their readers: so there is no cycle. */
function checkOrder(graph: Graph, nodes: readonly Node[]): void {
  nodes.forEach((node, i) => {
    if (!Number.isSafeInteger(node.id) || node.id < 0) broken(graph, node, 'an id is a whole number');
    if (i && nodes[i - 1].id === node.id) broken(graph, node, 'two nodes have one id', `also ${nodes[i - 1].op}`);
    const late = node.inputs.find((input) => !(input.id < node.id));
    if (late) broken(graph, node, 'an operand comes after its reader', `operand ${late.op} has id ${late.id}`);
  });
}

function checkNode(graph: Graph, node: Node, ops: OpTable): void {
  const type = inferred(graph, node, ops);
  if (formatType(type) !== formatType(node.type)) {
    broken(graph, node, 'its type is not what its op gives', `${formatType(node.type)} instead of ${formatType(type)}`);
  }
  if (!type.shape.every((n) => Number.isSafeInteger(n) && n >= 1)) {
    broken(graph, node, 'sizes are whole numbers of at least 1', formatType(type));
  }
  if (!(sizeOf(type.shape) < MAX_ELEMENTS)) {
    broken(graph, node, 'a tensor has fewer than 2³¹ elements', `${formatType(type)} has ${sizeOf(type.shape)}`);
  }
  for (const value of Object.values(node.attrs)) if (isGraph(value)) verify(value, ops);
}

function inferred(graph: Graph, node: Node, ops: OpTable): TensorType {
  const operands = node.inputs.map((n) => n.type);
  try {
    return ops.infer(node.op, operands, node.attrs);
  } catch (error) {
    if (!(error instanceof DitcError)) throw error;
    return broken(graph, node, 'its op refuses its operands', error.message);
  }
}

/** Inputs, weights and state have names, one node per name; the graph lists exactly its inputs. */
function checkLeaves(graph: Graph, nodes: readonly Node[]): void {
  const named = new Map<string, Node>();
  for (const node of nodes) {
    if (!node.inputs.length && node.copy !== undefined) broken(graph, node, 'what is in memory is not computed again');
    if (!LEAVES.has(node.op)) continue;
    const { name } = node.attrs;
    if (typeof name !== 'string' || !name) broken(graph, node, 'a leaf has a name');
    if (node.op === 'input' && !VALUE_NAME.test(name)) broken(graph, node, `%${name} does not read as a value's name`);
    if (named.has(name)) broken(graph, node, `two leaves are named ${name}`, `the other is a ${named.get(name)!.op}`);
    named.set(name, node);
    if (node.op === 'input' && !graph.inputs.includes(node)) broken(graph, node, 'an input is not in the signature');
  }
  for (const node of graph.inputs) {
    if (node.op !== 'input') broken(graph, node, 'the signature lists a node that is not an input');
  }
  if (new Set(graph.inputs).size !== graph.inputs.length) broken(graph, undefined, 'an input is listed twice');
}

function checkOutputs(graph: Graph): void {
  const names = new Set<string>();
  for (const { name, node } of graph.outputs) {
    if (!name) broken(graph, node, 'an output has a name');
    if (names.has(name)) broken(graph, node, `two outputs are named ${name}`);
    names.add(name);
  }
}

function checkUpdates(graph: Graph): void {
  const updated = new Set<Node>();
  for (const { state, node } of graph.updates) {
    const name = String(state.attrs.name);
    if (state.op !== 'state' && state.op !== 'param') broken(graph, state, 'only state and parameters are updated');
    if (updated.has(state)) broken(graph, node, `${name} is updated twice`);
    updated.add(state);
    if (formatType(state.type) !== formatType(node.type)) {
      broken(
        graph,
        node,
        `${name} is updated with another type`,
        `${formatType(state.type)} := ${formatType(node.type)}`,
      );
    }
  }
}

/** All nodes come from one builder: hash-consing, and ids, hold only within it. */
function checkOwner(graph: Graph, nodes: readonly Node[]): void {
  const owner = results(graph).map(ownerOf).find(Boolean);
  const foreign = nodes.find((node) => !owner || ownerOf(node) !== owner);
  if (foreign) broken(graph, foreign, 'a node does not belong to the graph', 'no builder, or another one, made it');
}
