/**
 * Random graphs whose kernels have much to join: values that many read, maps over rows and over what a row is reduced to,
 * reductions that share rows, products with what optimisers do to their results, values put together of several, state of
 * every shape that is updated from all this. Values stay well conditioned: everything added is bounded, and sums are means.
 */
import { GraphBuilder, nodesOf, type Graph, type Node, type Shape } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../compiler/ops/index.ts';
import { drawValues } from './samples.ts';

export interface ResultsGraph {
  readonly graph: Graph;
  readonly bindings: Record<string, Float64Array>;
}

/** The same seed gives the same graph. Rows are short, as long as a workgroup, or in between. */
export function resultsGraph(seed: number): ResultsGraph {
  for (let attempt = 0; ; attempt++) {
    const made = new Generator(seed * 1000 + attempt).run();
    if (isSound(made)) return made;
  }
}

const MAX_ROUNDING = 2e-6;

/** Whether float32 gives what float64 does, as far as it can. */
function isSound({ graph, bindings }: ResultsGraph): boolean {
  const [exact, rounded] = [false, true].map((f32) => interpret(graph, bindings, { f32 }));
  const values = (of: typeof exact) => [...Object.values(of.outputs), ...Object.values(of.updates)];
  return values(exact).every(({ data }, i) => {
    const other = values(rounded)[i].data;
    const off = Math.hypot(...data.map((x, j) => x - other[j]));
    return off <= MAX_ROUNDING * Math.hypot(...data) && data.every((x) => Math.abs(x) < 30);
  });
}

class Generator {
  private readonly random: Random;
  private readonly f = new Functional(new GraphBuilder(opTable));
  private readonly pool: Node[] = [];
  private readonly rows: number;
  private readonly width: number;
  private readonly bindings: Record<string, Float64Array> = {};

  constructor(seed: number) {
    this.random = new Random(seed);
    this.rows = this.random.pick([1, 3, 6, 9, 16]);
    this.width = this.random.pick([1, 4, 11, 16, 64, 70]);
  }

  run(): ResultsGraph {
    const { random, rows, width } = this;
    const [full, reduced, column] = [
      [rows, width],
      [rows, 1],
      [1, width],
    ];
    this.pool.push(this.named('input', 'x', full), this.named('input', 'y', full));
    const weights = ['w0', 'w1'].map((name) => this.named('param', name, full));
    const states = ['a', 'b', 'c', 'd'].map((name) => this.named('state', name, full));
    const rowStates = ['p', 'q'].map((name) => this.named('state', name, reduced));
    const columnStates = ['s'].map((name) => this.named('state', name, column));
    const all = [...weights, ...states, ...rowStates, ...columnStates];
    this.pool.push(...all.filter(() => random.next() < 0.7));
    const count = random.int(3, 14);
    for (let i = 0; i < count; i++) this.pool.push(random.pick(STEPS)(this.context));
    const likely = random.pick([0.3, 0.6, 0.9]);
    const updates = all.filter(() => random.next() < likely).map((state) => ({ state, node: this.next(state) }));
    const outputs = Array.from({ length: random.int(1, 4) }, (_, i) => ({ name: `out${i}`, node: this.pick() }));
    return this.bound({ name: 'results', inputs: [], outputs, updates });
  }

  /** What a state becomes: often a step from what it was towards something, as optimisers take. */
  private next(state: Node): Node {
    const { f, random } = this;
    const target = this.pick(state.type.shape);
    if (random.next() < 0.25) return target;
    const next = f.add(f.mul(state, 0.75), f.mul(target, 0.25));
    this.pool.push(next);
    return next;
  }

  private get context(): Context {
    const { f, random, rows, width } = this;
    return { f, random, rows, width, pick: this.pick };
  }

  /** A value of the shape; recent ones are likelier. */
  private pick = (shape?: Shape): Node => {
    const fit = shape ? this.pool.filter((node) => String(node.type.shape) === String(shape)) : this.pool;
    if (fit.length) return this.random.pick(this.random.next() < 0.5 ? fit.slice(-3) : fit);
    const [long, short] = [this.width, this.rows].map((n, axis) => shape![1 - axis] === n);
    const x = this.pick([this.rows, this.width]);
    if (long && !short) return this.f.mean(x, [0]);
    return short && !long ? this.f.mean(x, [1]) : this.f.mean(x, [0, 1]);
  };

  private named(op: string, name: string, shape: Shape): Node {
    const node = this.f.op(op, [], { name, dtype: 'f32', shape });
    this.bindings[name] = drawValues(this.random, node.type);
    return node;
  }

  private bound(graph: Graph): ResultsGraph {
    const used = nodesOf(graph);
    const names = used.flatMap(({ attrs }) => (typeof attrs.name === 'string' ? [attrs.name] : []));
    return {
      graph: { ...graph, inputs: used.filter(({ op }) => op === 'input') },
      bindings: Object.fromEntries(names.map((name) => [name, this.bindings[name]])),
    };
  }
}

interface Context {
  readonly f: Functional;
  readonly random: Random;
  readonly rows: number;
  readonly width: number;
  pick(shape?: Shape): Node;
}

type Step = (context: Context) => Node;

const UNARY = ['sin', 'tanh', 'sigmoid', 'gelu', 'silu', 'erf'];

const map: Step = ({ f, random, pick }) => f.unary(random.pick(UNARY), pick());

const both: Step = ({ f, random, pick }) => {
  const x = pick();
  const y = pick(x.type.shape);
  return random.pick([() => f.add(f.mul(x, 0.5), y), () => f.mul(x, f.sigmoid(y)), () => f.max(x, y)])();
};

const full = ({ rows, width }: Context): Shape => [rows, width];

/** A row beside what it was reduced to, or a column beside that. */
const spread: Step = (context) => {
  const { f, random, pick, rows, width } = context;
  const small = pick(
    random.pick([
      [rows, 1],
      [rows, 1],
      [1, width],
      [1, 1],
    ]),
  );
  const x = pick(full(context));
  return random.next() < 0.5 ? f.add(x, small) : f.mul(x, f.sigmoid(small));
};

const reduce: Step = (context) => {
  const { f, random, pick } = context;
  const x = pick(full(context));
  const axes = random.pick([[1], [1], [1], [0], [0, 1]]);
  return random.next() < 0.8 ? f.mean(x, axes) : f.reduceMax(x, axes);
};

const normalise: Step = (context) => {
  const { f, random, pick } = context;
  const x = pick(full(context));
  return random.next() < 0.5 ? f.op('layer_norm', [x], { eps: 0.1 }) : f.op('softmax', [x]);
};

/** x · (yᵀ z): through the width and back. */
const product: Step = (context) => {
  const { f, random, pick, rows, width } = context;
  const [x, y] = [pick(full(context)), pick(full(context))];
  if (random.next() < 0.5)
    return f.mul(f.matmul(f.mul(f.matmul(x, f.transpose(y)), 1 / width), pick(full(context))), 0.3);
  return f.mul(f.matmul(x, f.mul(f.matmul(f.transpose(y), pick(full(context))), 1 / rows)), 1 / width);
};

/** The gradient of a weight: its kernel may take what the optimiser does. */
const gradient: Step = (context) => {
  const { f, pick, rows } = context;
  const mixed = f.matmul(f.tanh(f.matmul(pick(full(context)), f.transpose(pick(full(context))))), pick(full(context)));
  return f.mul(mixed, 1 / rows);
};

/** A product that is stored by another layout. */
const laidOut: Step = (context) => {
  const { f, pick, rows, width } = context;
  const across = f.matmul(
    f.transpose(pick(full(context))),
    f.tanh(f.matmul(pick(full(context)), f.transpose(pick(full(context))))),
  );
  return f.mul(f.reshape(f.permute(across, [1, 0]), [rows, width]), 1 / (rows * 2));
};

const shifted: Step = (context) => {
  const { f, pick, rows, width } = context;
  const x = pick(full(context));
  if (rows === 1) return f.neg(x);
  return f.concat([f.slice(x, [1, 0], [rows - 1, width]), f.slice(x, [0, 0], [1, width])], 0);
};

/** Values of several kernels one after the other, read as a whole, piece by piece, or both. */
const assembled: Step = (context) => {
  const { f, random, pick, rows, width } = context;
  const pieces = Array.from({ length: random.int(2, 4) }, () => random.pick([normalise, gradient, laidOut])(context));
  const whole = f.concat(pieces, 0);
  const length = rows * pieces.length;
  const piece = random.pick(pieces);
  const cut = f.slice(whole, [rows * random.int(0, pieces.length - 1), 0], [rows, width]);
  return random.pick([
    () => f.mul(f.matmul(f.tanh(f.matmul(pick(full(context)), f.transpose(whole))), whole), 1 / length),
    () => f.add(f.mul(f.matmul(f.matmul(piece, f.transpose(whole)), whole), 1 / length), cut),
    () => f.add(f.mul(f.matmul(f.matmul(cut, f.transpose(piece)), pick(full(context))), 1 / width), cut),
    () => f.reshape(f.mean(f.reshape(whole, [pieces.length, rows, width]), [0]), [rows, width]),
  ])();
};

const reordered: Step = (context) => {
  const { f, pick, rows, width } = context;
  return f.reshape(f.permute(pick(full(context)), [1, 0]), [rows, width]);
};

const STEPS: readonly Step[] = [
  ...[map, map, map, both, both, both, both, spread, spread, spread],
  ...[reduce, reduce, reduce, normalise, product, gradient, gradient, laidOut, shifted, reordered],
  ...[assembled, assembled, assembled],
];
