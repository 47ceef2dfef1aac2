/** The interpreter: runs a graph in float64, one op after the other. The first judge of correctness. */
import {
  DitcError,
  formatType,
  isFloat,
  nodesOf,
  results,
  sizeOf,
  type Graph,
  type Node,
  type OpTable,
} from '../ir/index.ts';
import { dense, type Dense } from './dense.ts';
import { opDef } from './define.ts';

/** Values of inputs, params and state by name; numbers are row-major. */
export type Bindings = Readonly<Record<string, ArrayLike<number>>>;

export interface Interpreted {
  readonly outputs: Record<string, Dense>;
  /** Next value of each updated state or parameter. */
  readonly updates: Record<string, Dense>;
}

export interface InterpretOptions {
  /** Rounds the result of every op to float32: how far float32 arithmetic itself can be from the truth. */
  readonly f32?: boolean;
}

/** The type rules of compiler/ops, as the IR asks for them. */
export const opTable: OpTable = { infer: (op, inputs, attrs) => opDef(op).type(inputs, attrs) };

const NAMED = new Set(['input', 'param', 'state']);

export function interpret(graph: Graph, bindings: Bindings, options: InterpretOptions = {}): Interpreted {
  const steps = interpretSteps(graph, bindings, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** {@link interpret} in steps of one op, for callers with something else to do in between. Values live until their last use. */
export function* interpretSteps(
  graph: Graph,
  bindings: Bindings,
  options: InterpretOptions = {},
): Generator<Node, Interpreted> {
  const nodes = nodesOf(graph);
  const kept = new Set(results(graph));
  const lastUser = new Map(nodes.flatMap((node) => node.inputs.map((input) => [input, node] as const)));
  const values = new Map<Node, Dense>();
  for (const node of nodes) {
    const value = NAMED.has(node.op) ? bind(node, bindings) : evaluate(node, values);
    values.set(node, options.f32 ? rounded(value) : value);
    for (const input of node.inputs) if (lastUser.get(input) === node && !kept.has(input)) values.delete(input);
    yield node;
  }
  return {
    outputs: Object.fromEntries(graph.outputs.map((o) => [o.name, values.get(o.node)!])),
    updates: Object.fromEntries(graph.updates.map((u) => [String(u.state.attrs.name), values.get(u.node)!])),
  };
}

/** Values of every node of a topologically ordered list. */
export function interpretNodes(nodes: readonly Node[], bindings: Bindings): Map<Node, Dense> {
  const values = new Map<Node, Dense>();
  for (const node of nodes) values.set(node, NAMED.has(node.op) ? bind(node, bindings) : evaluate(node, values));
  return values;
}

function evaluate(node: Node, values: Map<Node, Dense>): Dense {
  return opDef(node.op).reference(
    node.inputs.map((n) => values.get(n)!),
    node.attrs,
    node.type,
  );
}

const rounded = (value: Dense): Dense =>
  isFloat(value.dtype) ? { ...value, data: new Float64Array(new Float32Array(value.data)) } : value;

function bind(node: Node, bindings: Bindings): Dense {
  const name = String(node.attrs.name);
  const data = bindings[name];
  if (!data) throw new DitcError({ code: 'unbound', what: `no value given for ${node.op} "${name}"`, where: node.loc });
  if (data.length !== sizeOf(node.type.shape)) {
    throw new DitcError({
      code: 'shape',
      what: `${name} is ${formatType(node.type)}`,
      why: `got ${data.length} values`,
    });
  }
  return dense(node.type, new Float64Array(data));
}
