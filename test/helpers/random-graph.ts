/**
 * Random graphs, for fuzzing: the same seed gives the same graph and values. Shapes are small and values well
 * conditioned, so a float32 device must agree with the float64 interpreter: a step is kept only if its result is finite,
 * not large, not nearly zero, and moves little when every operation is given a rounding error many times float32's.
 */
import { gradients } from '../../compiler/autodiff/index.ts';
import {
  GraphBuilder,
  isFloat,
  nodesOf,
  sameShape,
  sizeOf,
  type DType,
  type Graph,
  type Node,
  type Output,
  type Shape,
} from '../../compiler/ir/index.ts';
import { Functional, opDef, opTable, Random, type Dense } from '../../compiler/ops/index.ts';
import { STEPS, type Step, type StepContext } from './random-steps.ts';
import { drawValues } from './samples.ts';

export interface RandomGraphOptions {
  /** Steps kept, each of one to about eight nodes. Default 12. */
  readonly size?: number;
  /** Also output a scalar `loss` and its gradients with respect to the weights. */
  readonly gradients?: boolean;
  /** Ops the graph may not use. */
  readonly without?: readonly string[];
  /** What it may do next, instead of `STEPS`. */
  readonly steps?: readonly Step[];
  /** A state may also be updated by a slice of itself. */
  readonly slices?: boolean;
}

export interface RandomGraph {
  readonly graph: Graph;
  readonly bindings: Record<string, Float64Array>;
}

const MAX_ELEMENTS = 1500;
const MAX_VALUE = 30;
const MIN_RMS = 1e-3;
/** Relative error given to each operation, and the most that may become of it: about the 1e-5 a kernel is allowed. */
const NOISE = 1e-6;
const MAX_NOISE = 1e-5;

export function randomGraph(seed: number, options: RandomGraphOptions = {}): RandomGraph {
  return new Generator(seed, options).run();
}

class Generator implements StepContext {
  readonly random: Random;
  readonly f: Functional;
  private readonly noise: Random;
  private readonly options: RandomGraphOptions;
  private readonly pool: Node[] = [];
  private readonly leaves: Node[] = [];
  private readonly bindings: Record<string, Float64Array> = {};
  private readonly exact = new Map<Node, Dense>();
  private readonly noisy = new Map<Node, Dense>();
  private line = 0;

  constructor(seed: number, options: RandomGraphOptions) {
    this.random = new Random(seed * 2654435761 + 12345);
    this.noise = new Random(seed + 1);
    this.options = options;
    const builder = new GraphBuilder(opTable);
    builder.location = () => `fuzz/${seed}.ts:${this.line}:3`;
    this.f = new Functional(builder);
  }

  run(): RandomGraph {
    const size = this.options.size ?? 12;
    const shape = [...this.random.shape(1, 3, 6), this.random.int(2, 12)];
    this.pool.push(this.named('input', shape, 'f32', drawValues(this.random, { dtype: 'f32', shape })));
    for (let kept = 0, tries = 0; kept < size && tries < 50 * size; tries++) {
      this.line = kept + 1;
      const node = this.random.pick(this.options.steps ?? STEPS)(this);
      if (!this.sound(node)) continue;
      if (this.random.next() < 0.3 && node.inputs.length) node.name ??= this.random.pick(['h', 'x', 'y', 'scale']);
      this.pool.push(node);
      kept++;
    }
    return this.finish();
  }

  // Recent nodes are likelier, so that graphs grow deep as well as wide.
  pick = (rank = 0): Node => {
    const fit = this.pool.filter((n) => isFloat(n.type.dtype) && n.type.shape.length >= rank);
    if (!fit.length) return this.leaf(this.random.shape(Math.max(rank, 1), Math.max(rank, 3), 6));
    const recent = this.random.next() < 0.6 ? fit.slice(-3) : fit;
    return this.random.pick(recent);
  };

  leaf = (shape: Shape, dtype: DType = 'f32'): Node => {
    const same = this.pool.filter((n) => n.type.dtype === dtype && sameShape(n.type.shape, shape));
    if (same.length && this.random.next() < 0.5) return this.random.pick(same);
    const values = drawValues(this.random, { dtype, shape }, isFloat(dtype) ? [-2, 2] : [0, 8]);
    const kind = this.random.pick(['input', 'param', 'param', 'constant', 'value'] as const);
    if (kind === 'constant') return this.f.op('constant', [], { dtype, shape, data: values });
    if (kind === 'value') return this.f.constant(values[0], dtype, shape);
    return this.named(kind, shape, dtype, values);
  };

  private named(kind: 'input' | 'param' | 'state', shape: Shape, dtype: DType, values: Float64Array): Node {
    const name = kind === 'param' ? `layers.${this.leaves.length}.weight` : `${kind}${this.leaves.length}`;
    const node = this.f.op(kind, [], { name, dtype, shape });
    this.bindings[name] = values;
    this.leaves.push(node);
    return node;
  }

  /** Whether a node may join the graph. */
  private sound(node: Node): boolean {
    const order = nodesOf({ name: '', inputs: [], outputs: [{ name: '', node }], updates: [] });
    if (order.some((n) => sizeOf(n.type.shape) > MAX_ELEMENTS || this.options.without?.includes(n.op))) return false;
    for (const n of order) this.compute(n);
    const fresh = order.filter((n) => !this.pool.includes(n));
    return fresh.every((n) => this.exact.get(n)!.data.every(Number.isFinite)) && this.steady(node);
  }

  private compute(node: Node): void {
    if (this.exact.has(node)) return;
    const { reference, kind } = opDef(node.op);
    const bound = this.bindings[String(node.attrs.name)];
    const run = (values: Map<Node, Dense>): Dense =>
      bound
        ? { dtype: node.type.dtype, shape: node.type.shape, data: bound }
        : reference(
            node.inputs.map((n) => values.get(n)!),
            node.attrs,
            node.type,
          );
    this.exact.set(node, run(this.exact));
    const shaken = run(this.noisy);
    const rounds = isFloat(node.type.dtype) && kind !== 'leaf' && kind !== 'view';
    const data = rounds ? shaken.data.map((x) => x * (1 + NOISE * this.noise.uniform(-1, 1))) : shaken.data;
    this.noisy.set(node, { ...shaken, data });
  }

  private steady(node: Node): boolean {
    const [x, y] = [this.exact.get(node)!.data, this.noisy.get(node)!.data];
    const norm = Math.hypot(...x);
    const off = Math.hypot(...x.map((v, i) => v - y[i]));
    const large = x.some((v) => Math.abs(v) > MAX_VALUE);
    return !large && norm >= MIN_RMS * Math.sqrt(x.length) && off <= MAX_NOISE * norm;
  }

  /** Outputs: what nothing reads, at most three of them and always the last; sometimes an updated state. */
  private finish(): RandomGraph {
    const read = new Set(nodesOf(this.graph(this.pool.slice(0, -1), [])).flatMap((n) => n.inputs));
    const last = this.pool[this.pool.length - 1];
    const loose = this.pool.slice(0, -1).filter((n) => !read.has(n) && n !== last && n.inputs.length);
    const outputs = [...new Set([...loose.slice(-2), last])];
    const updates = [];
    if (this.random.next() < 0.4) {
      const state = this.named('state', last.type.shape, 'f32', drawValues(this.random, last.type));
      updates.push({ state, node: this.options.slices ? this.sliced(state, last) : this.mixed(state, last) });
    }
    const graph = { ...this.graph(outputs, this.options.gradients ? this.derivatives(last) : []), updates };
    return { graph: this.withInputs(graph), bindings: this.bound(graph) };
  }

  private mixed = (state: Node, by: Node): Node => this.f.add(this.f.mul(state, 0.75), this.f.mul(by, 0.25));

  /** One element of an axis replaced, or mixed where there is none. */
  private sliced(state: Node, by: Node): Node {
    const { shape } = state.type;
    if (!shape.length) return this.mixed(state, by);
    const axis = this.random.int(0, shape.length - 1);
    const value = this.f.slice(
      by,
      shape.map(() => 0),
      shape.with(axis, 1),
    );
    return this.f.op('write_slice', [value, this.leaf([], 'i32'), state], { axis });
  }

  private graph(nodes: readonly Node[], more: readonly Output[]): Graph {
    const outputs = [...nodes.map((node, i) => ({ name: `out${i}`, node })), ...more];
    return { name: 'fuzz', inputs: [], outputs, updates: [] };
  }

  private derivatives(y: Node): Output[] {
    const { f } = this;
    const loss = f.mul(
      f.sum(
        f.square(y),
        y.type.shape.map((_, i) => i),
      ),
      1 / sizeOf(y.type.shape),
    );
    const ancestors = nodesOf(this.graph([y], []));
    const params = this.leaves.filter((n) => n.op === 'param' && isFloat(n.type.dtype) && ancestors.includes(n));
    const grads = gradients(f, loss, params).map((node, i) => ({ name: `grad${i}`, node }));
    return [{ name: 'loss', node: loss }, ...grads].filter(({ node }) => this.sound(node));
  }

  private withInputs(graph: Graph): Graph {
    return { ...graph, inputs: nodesOf(graph).filter((n) => n.op === 'input') };
  }

  private bound(graph: Graph): Record<string, Float64Array> {
    const names = nodesOf(graph).flatMap((n) => (typeof n.attrs.name === 'string' ? [n.attrs.name] : []));
    return Object.fromEntries(names.map((name) => [name, this.bindings[name]]));
  }
}
