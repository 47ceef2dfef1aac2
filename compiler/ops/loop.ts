/**
 * Loops that are not unrolled: a graph, the body, that is computed again and again on what it made the time before. A node is one of the
 * results; those of one loop differ in nothing but `result`. The pass `divide` makes the body a part that is compiled once and replayed.
 */
import { attrsKey, formatType, GraphBuilder, isGraph, nodesOf,
  rebuild, sizeOf, type Attrs, type Graph, type Node, type TensorType } from '../ir/index.ts'; // prettier-ignore
import { attrNumber, defineOp, opDef, shapeError } from './define.ts';
import { dense, type Dense } from './dense.ts';
import { Functional } from './functional.ts';
import { interpretNodes, opTable } from './interpret.ts';

/** What a loop consists of. Operands, and the inputs of the body, are: what is carried, what is sliced, what is captured. */
export interface LoopParts {
  /** Its last input is the number of the turn, i32. Its outputs: what is carried on, then what is stacked. */
  readonly body: Graph;
  readonly count: number;
  readonly carries: number;
  readonly slices: number;
  /** Turns run from the last to the first. */
  readonly isReverse: boolean;
}

export const loopParts = ({ body, count, carries, slices, reverse }: Attrs): LoopParts => {
  return {
    body: body as Graph,
    count: Number(count),
    carries: Number(carries),
    slices: Number(slices),
    isReverse: reverse === true,
  };
};

export const isLoop = ({ op }: Node): boolean => op === 'loop';

/** The same of all results of a loop, and of no other's. */
export const loopKey = ({ inputs, attrs }: Node): string =>
  `${inputs.map(({ id }) => id).join(',')} ${attrsKey({ ...attrs, result: 0 })}`;

export const loop = defineOp({
  name: 'loop',
  doc: 'A result of `count` turns of `body`: a value that it carried (its first outputs are its first inputs of the next turn), or what it gave, stacked.',
  note: 'Operands are what is carried, what each turn gets a slice of (along the first axis), and what all turns read. The body gets these, and the turn’s number.',
  kind: 'request',
  type: (inputs, attrs) => {
    const parts = loopParts(attrs);
    checkBody(inputs, parts);
    const result = attrNumber(attrs, 'result');
    const { type } = parts.body.outputs[result]?.node ?? {};
    if (!type) throw shapeError('loop', `its body has no result ${result}`, `it has ${parts.body.outputs.length}`);
    return result < parts.carries ? type : { dtype: type.dtype, shape: [parts.count, ...type.shape] };
  },
  reference: (inputs, attrs) => resultsOf(inputs, attrs)[attrNumber(attrs, 'result')],
  gradient: () => {
    throw new Error('internal error: the gradient of a loop is that of all its results (autodiff/loops.ts)');
  },
  cost: (_inputs, attrs) => {
    const { body, count } = loopParts(attrs);
    const costs = nodesOf(body).map(({ op, inputs, attrs: own, type }) =>
      opDef(op).cost(
        inputs.map((input) => input.type),
        own,
        type,
      ),
    );
    const total = (of: 'macs' | 'flops') => count * costs.reduce((sum, cost) => sum + cost[of], 0);
    return { macs: total('macs'), flops: total('flops') };
  },
  sample: (random) => {
    const [shape, count] = [random.shape(0, 2), random.int(1, 4)];
    const f32 = (of: readonly number[]) => ({ dtype: 'f32' as const, shape: of });
    const body = sampleBody(f32(shape));
    const reverse = random.next() < 0.5;
    const attrs = { body, count, carries: 1, slices: 1, ...(reverse && { reverse }), result: random.int(0, 1) };
    return { inputs: [f32(shape), f32([count, ...shape]), f32([])], attrs };
  },
});

/** A graph with something done to the bodies of its loops. */
export function inBodies(graph: Graph, change: (body: Graph) => Graph): Graph {
  const bodies = new Map(
    nodesOf(graph)
      .filter(isLoop)
      .map(({ attrs }) => [attrs.body as Graph, attrs.body as Graph]),
  );
  let isChanged = false;
  for (const body of bodies.keys()) {
    bodies.set(body, change(body));
    isChanged ||= bodies.get(body) !== body;
  }
  if (!isChanged) return graph;
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!isLoop(node)) return undefined;
    const { body } = loopParts(node.attrs);
    return builder.apply(node.op, inputs, { ...node.attrs, body: bodies.get(body)! }, node, node.copy);
  });
}

/** h' = h·w + x, and it is what each turn gives too. */
function sampleBody({ dtype, shape }: TensorType): Graph {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const input = (name: string, of = shape) => builder.apply('input', [], { name, dtype, shape: of });
  const [h, x, w] = [input('h'), input('x'), input('w', [])];
  const turn = builder.apply('input', [], { name: 'turn', dtype: 'i32', shape: [] });
  const node = f.add(f.mul(h, w), x);
  return {
    name: 'body',
    inputs: [h, x, w, turn],
    outputs: ['carry', 'out'].map((name) => ({ name, node })),
    updates: [],
  };
}

/** Throws unless operands are what the body takes, and what it carries is of one type before and after. */
function checkBody(inputs: readonly TensorType[], { body, count, carries, slices }: LoopParts): void {
  if (!isGraph(body)) throw shapeError('loop', 'its attribute body is no graph');
  if (!inputs.length) throw shapeError('loop', 'takes one operand at least');
  if (!(Number.isSafeInteger(count) && count >= 1 && count < 2 ** 31))
    throw shapeError('loop', 'it has one turn at least', `count is ${count}`);
  const taken = body.inputs.map(({ type }) => formatType(type));
  const given = inputs.map((type, i) => {
    const isSliced = i >= carries && i < carries + slices;
    if (isSliced && type.shape[0] !== count)
      throw shapeError('loop', `a turn gets no slice of ${formatType(type)}`, `there are ${count} turns`);
    return formatType(isSliced ? { ...type, shape: type.shape.slice(1) } : type);
  });
  const expected = [...given, 'i32[]'];
  if (expected.join() !== taken.join())
    throw shapeError('loop', 'takes what its body does', `${expected.join(', ')} and ${taken.join(', ')}`);
  const carried = body.outputs.slice(0, carries).map(({ node }) => formatType(node.type));
  if (carried.join() !== taken.slice(0, carries).join())
    throw shapeError('loop', 'what it carries changes its type', `${taken.slice(0, carries).join(', ')} to ${carried.join(', ')}`); // prettier-ignore
  if (body.updates.length) throw shapeError('loop', 'a state is updated in its body', undefined, 'carry the value');
}

/** All results of loops, by their first operand: whoever asks for one of them asks for others. */
const known = new WeakMap<Dense, { readonly inputs: readonly Dense[]; readonly key: string; readonly results: readonly Dense[] }[]>(); // prettier-ignore

function resultsOf(inputs: readonly Dense[], attrs: Attrs): readonly Dense[] {
  const all = known.get(inputs[0]) ?? [];
  const key = attrsKey({ ...attrs, result: 0 });
  const same = all.find((run) => run.key === key && run.inputs.every((value, i) => value === inputs[i]));
  if (same) return same.results;
  const results = run(inputs, loopParts(attrs));
  known.set(inputs[0], [...all, { inputs, key, results }]);
  return results;
}

function run(inputs: readonly Dense[], { body, count, carries, slices, isReverse }: LoopParts): Dense[] {
  const nodes = nodesOf(body);
  const outputs = body.outputs.map(({ node }) => node);
  let carried = inputs.slice(0, carries);
  const stacks = outputs.slice(carries).map(({ type }) => dense({ ...type, shape: [count, ...type.shape] }));
  for (let i = 0; i < count; i++) {
    const turn = isReverse ? count - 1 - i : i;
    const sliced = inputs.slice(carries, carries + slices).map((x) => {
      const size = sizeOf(x.shape.slice(1));
      return { data: x.data.subarray(turn * size, (turn + 1) * size) };
    });
    const given = [...carried, ...sliced, ...inputs.slice(carries + slices), { data: Float64Array.of(turn) }];
    const values = interpretNodes(
      nodes,
      Object.fromEntries(body.inputs.map((node, at) => [String(node.attrs.name), given[at].data])),
    );
    const made = outputs.map((node) => values.get(node)!);
    carried = made.slice(0, carries);
    stacks.forEach((stack, at) => stack.data.set(made[carries + at].data, turn * made[carries + at].data.length));
  }
  return [...carried, ...stacks];
}
