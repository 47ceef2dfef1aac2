/** A random network in the making: its leaves, the values that layers read, and how it ends: losses, derivatives, optimisers, views. */
import {
  GraphBuilder,
  nodesOf,
  sizeOf,
  type DType,
  type Graph,
  type Node,
  type Shape,
} from '../../compiler/ir/index.ts';
import { Functional, opTable, Random } from '../../compiler/ops/index.ts';
import { drawValues } from '../helpers/samples.ts';
import type { Case } from './cases.ts';

export const SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 24, 33];
export const SMALL = [1, 1, 2, 2, 3, 4, 5];
export const MOST_ELEMENTS = 4000;

/** What a network does with its values, one layer after the other. */
export type Layer = (net: Network, x: Node) => Node;

export class Network {
  readonly random: Random;
  readonly f = new Functional(new GraphBuilder(opTable));
  readonly bindings: Record<string, Float64Array> = {};
  private readonly leaves: Node[] = [];
  /** Values [batch, tokens, width], the latest last. */
  private readonly stream: Node[] = [];

  constructor(seed: number) {
    this.random = new Random(seed * 7919 + 5);
  }

  run(layers: readonly Layer[]): Case {
    const { random } = this;
    this.stream.push(this.leaf('input', 'x', [random.pick(SMALL), random.pick(SIZES), random.pick(SIZES)]));
    const count = random.int(1, 5);
    for (let i = 0; i < count; i++) {
      const y = random.pick(layers)(this, this.x);
      if (sizeOf(y.type.shape) > MOST_ELEMENTS) continue;
      this.stream.push(this.joined(y));
    }
    const learns = random.next() < 0.5;
    return this.bound(learns ? this.training() : { name: 'network', inputs: [], outputs: this.outputs(), updates: [] });
  }

  /** What a layer reads: mostly the latest value. */
  get x(): Node {
    return this.random.next() < 0.8 ? this.stream.at(-1)! : this.random.pick(this.stream);
  }

  leaf(
    op: 'input' | 'param' | 'state',
    name: string,
    shape: Shape,
    dtype: DType = 'f32',
    range?: [number, number],
  ): Node {
    const full = `${name}${this.leaves.length}`;
    const node = this.f.op(op, [], { name: full, dtype, shape });
    this.bindings[full] = drawValues(this.random, node.type, range);
    this.leaves.push(node);
    return node;
  }

  param = (name: string, shape: Shape): Node => {
    const same = this.leaves.filter(({ op, type }) => op === 'param' && String(type.shape) === String(shape));
    return same.length && this.random.next() < 0.2 ? this.random.pick(same) : this.leaf('param', name, shape);
  };

  /** x·Wᵀ + b of k inputs, kept near one. */
  linear(x: Node, n: number): Node {
    const { f, random } = this;
    const k = x.type.shape.at(-1)!;
    const bias = random.next() < 0.6 ? [this.param('bias', [n])] : [];
    const weight = this.param('weight', [n, k]);
    if (random.next() < 0.6) return f.mul(f.op('linear', [x, weight, ...bias]), Math.fround(1 / Math.sqrt(k)));
    const y = f.mul(f.matmul(x, f.transpose(weight)), Math.fround(1 / Math.sqrt(k)));
    return bias.length ? f.add(y, bias[0]) : y;
  }

  activated = (x: Node): Node => this.f.unary(this.random.pick(['gelu', 'silu', 'tanh', 'sigmoid', 'erf', 'sin']), x);

  normed(x: Node): Node {
    const { f, random } = this;
    const last = [x.type.shape.length - 1];
    if (random.next() < 0.5) return f.op('layer_norm', [x], { eps: 0.01 });
    if (random.next() < 0.5) return f.mul(x, f.rsqrt(f.add(f.mean(f.square(x), last), 0.01)));
    const centred = f.sub(x, f.mean(x, last));
    return f.div(centred, f.sqrt(f.add(f.mean(f.square(centred), last), 0.01)));
  }

  /** A layer beside the stream: added, gated, or instead of it. */
  private joined(y: Node): Node {
    const { f, random } = this;
    const same = this.stream.filter(({ type }) => String(type.shape) === String(y.type.shape));
    if (!same.length || random.next() < 0.3) return y;
    const x = random.pick(same);
    const [batch, , width] = y.type.shape;
    const gate = () => f.sigmoid(this.leaf('input', 'gate', [random.pick([1, batch]), 1, width]));
    return random.next() < 0.4 ? f.add(x, f.mul(gate(), y)) : f.mul(f.add(x, y), 0.5);
  }

  private outputs() {
    const { f, random } = this;
    const views: ((x: Node) => Node)[] = [
      (x) => x,
      (x) => f.permute(x, random.permutation(3)),
      (x) => f.reshape(x, [sizeOf(x.type.shape)]),
      (x) =>
        f.slice(
          x,
          [0, 0, 0],
          x.type.shape.map((n) => random.int(1, n)),
        ),
      (x) => f.reshape(f.transpose(x), [...x.type.shape]),
      (x) => f.pad(x, [0, 1, 0], [1, 0, 0], 0.5),
      (x) => f.sum(x, [random.int(0, 2)]),
    ];
    const chosen = [this.stream.at(-1)!, ...this.stream.slice(1, -1).filter(() => random.next() < 0.2)];
    return chosen.map((x, i) => ({ name: `out${i}`, node: random.pick(views)(x) }));
  }

  /** A loss, and its derivatives as outputs or taken into the parameters by an optimiser with a moment. */
  private training(): Graph {
    const { f, random } = this;
    const y = this.stream.at(-1)!;
    const loss = f.reshape(f.mean(f.square(f.sub(y, this.leaf('input', 'target', y.type.shape))), [0, 1, 2]), []);
    const known = new Set(nodesOf({ name: '', inputs: [], outputs: [{ name: '', node: loss }], updates: [] }));
    const weights = this.leaves.filter((node) => known.has(node) && (node.op === 'param' || node === this.stream[0]));
    const slopes = weights.map((node) => f.op('gradient', [loss, node]));
    const outputs = [{ name: 'loss', node: loss }];
    const updates = weights.flatMap((weight, i) => {
      if (weight.op === 'input' || random.next() < 0.4) {
        outputs.push({ name: `slope${i}`, node: slopes[i] });
        return [];
      }
      const moment = this.leaf('state', 'moment', weight.type.shape);
      const next = f.add(f.mul(moment, 0.75), f.mul(slopes[i], 0.25));
      return [
        { state: moment, node: next },
        { state: weight, node: f.sub(weight, f.mul(next, 0.125)) },
      ];
    });
    return {
      name: 'network',
      inputs: [],
      outputs: [...outputs, ...(random.next() < 0.3 ? this.outputs() : [])],
      updates,
    };
  }

  private bound(graph: Graph): Case {
    const used = nodesOf(graph);
    const names = used.flatMap(({ attrs }) => (typeof attrs.name === 'string' ? [attrs.name] : []));
    return {
      graph: { ...graph, inputs: used.filter(({ op }) => op === 'input') },
      bindings: Object.fromEntries(names.map((name) => [name, this.bindings[name]])),
    };
  }
}
