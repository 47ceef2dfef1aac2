/** Steps of random graphs that loop: a turn is a few of the other steps, on what it carries, its slice and what all turns read. */
import {
  GraphBuilder,
  isFloat,
  sameShape,
  sizeOf,
  type DType,
  type Node,
  type Shape,
} from '../../compiler/ir/index.ts';
import { Functional, opTable, type Random } from '../../compiler/ops/index.ts';
import { STEPS, type Step, type StepContext } from './random-steps.ts';

const MOST_TURNS = 5;
/** Of a value of a turn; turns stack them. */
const MOST_ELEMENTS = 300;

/** The graph of a turn as it grows. What it needs from outside becomes an operand of the loop. */
class Turn implements StepContext {
  readonly builder = new GraphBuilder(opTable);
  readonly f = new Functional(this.builder);
  readonly random: Random;
  readonly captured: Node[] = [];
  readonly inputs: Node[] = [];
  readonly pool: Node[] = [];
  private readonly around: StepContext;

  constructor(around: StepContext) {
    this.around = around;
    this.random = around.random;
  }

  input(name: string, shape: Shape, dtype: DType): Node {
    return this.builder.apply('input', [], { name, dtype, shape });
  }

  pick = (rank = 0): Node => {
    const fit = this.pool.filter(({ type }) => isFloat(type.dtype) && type.shape.length >= rank);
    return fit.length ? this.random.pick(fit) : this.leaf(this.random.shape(Math.max(rank, 1), Math.max(rank, 2), 4));
  };

  leaf = (shape: Shape, dtype: DType = 'f32'): Node => this.capture(this.around.leaf(shape, dtype));

  capture(node: Node): Node {
    const at = this.captured.indexOf(node);
    if (at >= 0) return this.inputs[at];
    this.captured.push(node);
    const { shape, dtype } = node.type;
    const input = this.input(`w${this.inputs.length}`, shape, dtype);
    this.inputs.push(input);
    return input;
  }

  /** Adds a step, unless its values are too many to be stacked. */
  grow(): void {
    const node = (this.random.next() < 0.1 ? loop : this.random.pick(STEPS))(this);
    if (isFloat(node.type.dtype) && sizeOf(node.type.shape) <= MOST_ELEMENTS) this.pool.push(node);
  }
}

/** What becomes of a carried value: a number counts, others stay bounded whatever is computed. */
function carriedOn({ f, random }: Turn, carry: Node, value: Node, turn: Node): Node {
  if (!isFloat(carry.type.dtype)) return f.add(carry, random.next() < 0.5 ? turn : 1);
  const alike = sameShape(value.type.shape, carry.type.shape) ? value : meanOf(f, value);
  return f.mul(f.add(carry, f.tanh(alike)), 0.5);
}

const loop: Step = (context) => {
  const { f, random, pick, leaf } = context;
  const carried = [pick(), ...(random.next() < 0.4 ? [pick()] : []), ...(random.next() < 0.3 ? [leaf([], 'i32')] : [])];
  const x = pick(1);
  const sliced = x.type.shape[0] <= MOST_TURNS && random.next() < 0.7 ? [x] : [];
  const count = sliced.length ? x.type.shape[0] : random.int(1, MOST_TURNS);
  const turn = new Turn(context);
  const inputOf = (name: string) => ({ type: { shape, dtype } }: Node, i: number) => turn.input(`${name}${i}`, shape, dtype); // prettier-ignore
  const carries = carried.map(inputOf('c'));
  const slices = sliced.map(({ type }, i) => turn.input(`x${i}`, type.shape.slice(1), type.dtype));
  const number = turn.input('turn', [], 'i32');
  turn.pool.push(...carries.filter(({ type }) => isFloat(type.dtype)), ...slices);
  if (random.next() < 0.4) turn.pool.push(turn.f.mul(turn.f.cast(number, 'f32'), 0.3));
  if (random.next() < 0.3) turn.pool.push(turn.capture(pick()));
  for (let steps = random.int(1, 4); steps--;) turn.grow();
  const next = carries.map((carry) => carriedOn(turn, carry, turn.pool.at(-1)!, number));
  const mayChange = next.length > 1 && sameShape(next[0].type.shape, next[1].type.shape) && next[0].type.dtype === next[1].type.dtype; // prettier-ignore
  if (mayChange && random.next() < 0.4) [next[0], next[1]] = [next[1], next[0]];
  const stacked = Array.from({ length: random.int(0, 2) }, () => turn.pick());
  const outputs = [...next, ...stacked].map((node, i) => ({ name: `out${i}`, node }));
  const body = { name: 'loop', inputs: [...carries, ...slices, ...turn.inputs, number], outputs, updates: [] };
  const reverse = random.next() < 0.3;
  const attrs = { body, count, carries: carries.length, slices: slices.length, ...(reverse && { reverse }) };
  const operands = [...carried, ...sliced, ...turn.captured];
  const results = outputs.map((_, result) => f.op('loop', operands, { ...attrs, result }));
  if (random.next() < 0.5) return asFloat(f, random.pick(results));
  return results.map((node) => meanOf(f, node)).reduce(f.add);
};

const asFloat = (f: Functional, node: Node): Node =>
  isFloat(node.type.dtype) ? node : f.mul(f.cast(node, 'f32'), 0.1);

const meanOf = (f: Functional, node: Node): Node => {
  const axes = node.type.shape.map((_, i) => i);
  return axes.length ? f.reshape(f.mean(asFloat(f, node), axes), []) : asFloat(f, node);
};

/** Some elements of an axis replaced, of all lines from one place on or of each from its own; some may lie outside. */
const writeSlice: Step = ({ f, random, pick, leaf }) => {
  const x = pick(1);
  const { shape } = x.type;
  const axis = random.int(0, shape.length - 1);
  const value = leaf(shape.with(axis, random.int(1, shape[axis])));
  const start = f.sub(leaf(random.broadcastable(shape.with(axis, 1)), 'i32'), random.int(0, 2));
  return f.op('write_slice', [value, start, x], { axis });
};

/** A quarter of all steps are loops. */
export const LOOPING_STEPS: readonly Step[] = [
  ...STEPS,
  ...Array<Step>(12).fill(loop),
  ...Array<Step>(4).fill(writeSlice),
];
