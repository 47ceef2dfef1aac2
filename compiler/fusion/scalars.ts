/**
 * Numbers that are computed once and read by many kernels, such as the corrections of Adam's moments, lie side by side in one
 * value: a kernel that reads two of them binds one buffer for both, and has one more for what else it could compute.
 */
import { nodesOf, rebuild, results, sizeOf, usersOf, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { opDef, opTable } from '../ops/index.ts';
import { CHEAP, paysToStore } from './stored.ts';

/** Numbers that come of leaves alone, so that all are known before anything else is, and that are dear enough to be stored. */
export function packScalars(graph: Graph): Graph {
  const packed = scalarsOf(graph);
  if (packed.length < 2) return graph;
  let parts: ReadonlyMap<Node, Node> | undefined;
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (isNumber(node) || !node.inputs.some((input) => packed.includes(input))) return undefined;
    parts ??= pack(packed, builder);
    const read = inputs.map((input, i) => parts!.get(node.inputs[i]) ?? input);
    return builder.apply(node.op, read, node.attrs, node, node.copy);
  });
}

const isNumber = ({ type }: Node): boolean => sizeOf(type.shape) === 1;

function scalarsOf(graph: Graph): Node[] {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const given = new Set(results(graph));
  /** Operations that each takes from leaves, of those that are made of nothing else. */
  const work = new Map<Node, number>();
  for (const node of nodes) {
    const { kind, cost } = opDef(node.op);
    const isInside = isNumber(node) && (kind === 'pointwise' || kind === 'view');
    if (kind !== 'leaf' && !(isInside && node.inputs.every((input) => work.has(input)))) continue;
    const own = kind === 'pointwise' ? cost([], node.attrs, { dtype: 'f32', shape: [] }).flops : 0;
    work.set(node, own + [...new Set(node.inputs)].reduce((sum, input) => sum + work.get(input)!, 0));
  }
  return nodes.filter((node) => {
    if (opDef(node.op).kind !== 'pointwise' || node.type.dtype !== 'f32' || !work.has(node) || given.has(node))
      return false;
    const readers = users.get(node)!.filter((user) => !isNumber(user));
    const reads = readers.reduce((sum, { type }) => sum + sizeOf(type.shape), 0);
    return work.get(node)! >= CHEAP && paysToStore({ work: work.get(node)!, evaluated: each(reads), size: 1 });
  });
}

/** A value that is computed anew at every read. */
const each = (times: number) => ({ times, paid: (work: number) => work * times });

/** The numbers side by side, and each as a part of that. */
function pack(numbers: readonly Node[], builder: GraphBuilder): Map<Node, Node> {
  const made = new Map<Node, Node>();
  // What the numbers are made of may come later in the graph: equal nodes are one.
  const make = (node: Node): Node => {
    const known = made.get(node) ?? builder.apply(node.op, node.inputs.map(make), node.attrs, node, node.copy);
    made.set(node, known);
    return known;
  };
  const flat = numbers.map((node) => builder.apply('reshape', [make(node)], { shape: [1] }, node));
  const whole = builder.apply('concat', flat, { axis: 0 });
  return new Map(
    numbers.map((node, i) => {
      const part = builder.apply('slice', [whole], { start: [i], size: [1], step: [1] }, node);
      return [node, builder.apply('reshape', [part], { shape: [...node.type.shape] }, node)];
    }),
  );
}
