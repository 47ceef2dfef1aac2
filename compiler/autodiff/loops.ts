/**
 * Derivatives of a loop: a loop that goes the other way. A turn of it computes the forward turn again, from what was carried into that
 * (stacked by the forward loop, the only values kept of it), and its derivatives; those of what all turns read are summed up on the way.
 */
import { GraphBuilder, isFloat, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { Functional, loopParts, opTable, type LoopParts } from '../ops/index.ts';

/** Derivatives of `wrt`, given those of other values: reverse.ts has it. */
export type Pullback = (f: Functional, seeds: ReadonlyMap<Node, Node>, wrt: readonly Node[]) => Node[];

/** What a loop is differentiated by. */
interface Asked {
  /** Any of its results. */
  readonly node: Node;
  /** Of those of its results that receive something. */
  readonly dys: ReadonlyMap<number, Node>;
  /** Whether the derivative of an operand is of use. */
  readonly isWanted: (operand: Node) => boolean;
}

/** What each operand of a loop receives. */
export function loopGradients(f: Functional, { node, dys, isWanted }: Asked, pullback: Pullback): (Node | null)[] {
  const parts = loopParts(node.attrs);
  const { body, count, slices, isReverse } = parts;
  const [carried, sliced, captured] = sections(node.inputs, parts);
  const wanted = node.inputs.map(
    (operand, i) => isFloat(operand.type.dtype) && (i < carried.length || isWanted(operand)),
  );
  const back = backwardBody(parts, { wanted, given: [...dys.keys()] }, pullback);
  const forward = { ...node.attrs, body: extended(body, back.read) };
  const kept = back.read.map((_, i) => f.op('loop', node.inputs, { ...forward, result: body.outputs.length + i }));
  const zeros = ({ type }: Node) => f.zeros(type.shape, type.dtype);
  const [ofCarried, ofSliced, ofCaptured] = sections(wanted, parts);
  const starts = carried.flatMap((operand, i) => (ofCarried[i] ? [dys.get(i) ?? zeros(operand)] : []));
  const sums = captured.filter((_, i) => ofCaptured[i]).map(zeros);
  const stacked = back.stacked.map((result) => dys.get(result)!);
  const operands = [...starts, ...sums, ...kept, ...sliced, ...stacked, ...captured];
  const attrs = {
    body: back.body,
    count,
    carries: starts.length + sums.length,
    slices: kept.length + slices + stacked.length,
    ...(!isReverse && { reverse: true }),
  };
  let result = 0;
  const next = (is: boolean): Node | null => (is ? f.op('loop', operands, { ...attrs, result: result++ }) : null);
  // Its results come in this order: what it carries, and then what it stacks.
  const [first, last] = [ofCarried.map(next), ofCaptured.map(next)];
  return [...first, ...ofSliced.map(next), ...last];
}

function sections<T>(all: readonly T[], { carries, slices }: LoopParts): [carried: T[], sliced: T[], captured: T[]] {
  return [all.slice(0, carries), all.slice(carries, carries + slices), all.slice(carries + slices)];
}

/** The same body, which also gives some of what is carried into it. */
const extended = (body: Graph, read: readonly number[]): Graph => {
  // By their places: what is differentiated twice has some of these already.
  const before = read.map((carry, i) => ({ name: `before${body.outputs.length + i}`, node: body.inputs[carry] }));
  return { ...body, outputs: [...body.outputs, ...before] };
};

interface Backward {
  readonly body: Graph;
  /** What it reads of what is carried into the forward turn. */
  readonly read: readonly number[];
  /** The stacked results whose derivatives it gets slices of. */
  readonly stacked: readonly number[];
}

/** `wanted`: whether the derivative of each operand is; `given`: the results that receive one. */
function backwardBody(
  parts: LoopParts,
  { wanted, given }: { readonly wanted: readonly boolean[]; readonly given: readonly number[] },
  pullback: Pullback,
): Backward {
  const { body, carries } = parts;
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const made = copied(body, builder);
  const inputs = body.inputs.map((node) => made.get(node)!);
  const [carried, sliced, captured] = sections(inputs.slice(0, -1), parts);
  const [dCarried, dSliced, dCaptured] = sections(
    inputs.slice(0, -1).map((node, i) => (wanted[i] ? [node] : [])),
    parts,
  ).map((list) => list.flat());
  const input = inputsIn(builder, body);
  const after = body.outputs.map(({ node }) => made.get(node)!);
  const stacked = given.filter((result) => result >= carries).sort((a, b) => a - b);
  const carriedOn = after.slice(0, carries).filter((_, i) => wanted[i]);
  const seeded = [...carriedOn, ...stacked.map((result) => after[result])];
  const dys = seeded.map((node, i) => input(`d_${i < dCarried.length ? nameOf(dCarried[i]) : `out${i}`}`, node));
  const sums = dCaptured.map((node) => input(`d_${nameOf(node)}`, node));
  const seeds = new Map<Node, Node>();
  seeded.forEach((node, i) => seeds.set(node, seeds.has(node) ? f.add(seeds.get(node)!, dys[i]) : dys[i]));
  const derivatives = pullback(f, seeds, [...dCarried, ...dCaptured, ...dSliced]);
  const outputs = derivatives.map((node, i) => {
    const sum = sums.at(i - dCarried.length);
    const isSum = i >= dCarried.length && i < dCarried.length + sums.length;
    return { name: `out${i}`, node: isSum ? f.add(sum!, node) : node };
  });
  const reached = new Set(nodesOf({ name: '', inputs: [], outputs, updates: [] }));
  const read = carried.flatMap((node, i) => (reached.has(node) ? [i] : []));
  const slices = [...read.map((i) => carried[i]), ...sliced, ...dys.slice(dCarried.length)];
  return {
    body: {
      name: `d_${body.name}`,
      inputs: [...dys.slice(0, dCarried.length), ...sums, ...slices, ...captured, inputs.at(-1)!],
      outputs,
      updates: [],
    },
    read,
    stacked,
  };
}

const nameOf = ({ attrs }: Node): string => String(attrs.name);

/** The nodes of a graph in another builder. */
function copied(graph: Graph, builder: GraphBuilder): Map<Node, Node> {
  const made = new Map<Node, Node>();
  for (const node of nodesOf(graph)) {
    const inputs = node.inputs.map((operand) => made.get(operand)!);
    made.set(node, builder.apply(node.op, inputs, node.attrs, node, node.copy));
  }
  return made;
}

/** Makes inputs of the type of others, named unlike those of a graph and each other. */
function inputsIn(builder: GraphBuilder, graph: Graph): (name: string, like: Node) => Node {
  const names = new Set(graph.inputs.map(nameOf));
  return (base, { type: { dtype, shape } }) => {
    let name = base;
    for (let i = 1; names.has(name); i++) name = `${base}_${i}`;
    names.add(name);
    return builder.apply('input', [], { name, dtype, shape });
  };
}
