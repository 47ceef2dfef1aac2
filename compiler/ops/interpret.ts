/** The interpreter: runs a graph in float64, one op after the other. The first judge of correctness. */
import { DitcError, formatType, nodesOf, sizeOf, type Graph, type Node, type OpTable } from '../ir/index.ts';
import { dense, type Dense } from './dense.ts';
import { opDef } from './define.ts';

/** Values of inputs, params and state by name; numbers are row-major. */
export type Bindings = Readonly<Record<string, ArrayLike<number>>>;

export interface Interpreted {
  readonly outputs: Record<string, Dense>;
  /** Next value of each updated state or parameter. */
  readonly updates: Record<string, Dense>;
}

/** The type rules of compiler/ops, as the IR asks for them. */
export const opTable: OpTable = { infer: (op, inputs, attrs) => opDef(op).type(inputs, attrs) };

const NAMED = new Set(['input', 'param', 'state']);

export function interpret(graph: Graph, bindings: Bindings): Interpreted {
  const values = interpretNodes(nodesOf(graph), bindings);
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
  return dense(node.type, Float64Array.from(data));
}
