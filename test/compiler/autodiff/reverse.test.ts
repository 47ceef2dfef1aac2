/** Reverse mode: whole chains against finite differences, and the rules of what has a gradient. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { GraphBuilder, nodesOf, verify, type Graph, type Node, type Shape } from '../../../compiler/ir/index.ts';
import { Functional, opTable, Random, type Bindings } from '../../../compiler/ops/index.ts';
import { checkGradient, evaluate } from '../../helpers/gradient-check.ts';
import { randomGraph } from '../../helpers/random-graph.ts';
import { drawValues } from '../../helpers/samples.ts';

/** A builder whose weights come with random values. */
class Bench {
  readonly f = new Functional(new GraphBuilder(opTable));
  readonly random = new Random(5);
  readonly bindings: Record<string, Float64Array> = {};
  readonly weights: Node[] = [];

  weight(name: string, shape: Shape): Node {
    const node = this.f.op('param', [], { name, dtype: 'f32', shape });
    this.bindings[name] = drawValues(this.random, node.type, [-1, 1]);
    this.weights.push(node);
    return node;
  }

  all = (x: Node): Node =>
    this.f.reshape(
      this.f.sum(
        x,
        x.type.shape.map((_, i) => i),
      ),
      [],
    );
  check = (y: Node, wrt: readonly Node[] = this.weights) => checkGradient(this.f, y, wrt, this.bindings, this.random);
}

const number = (nodes: Node[], bindings: Bindings): number[] => evaluate(nodes, bindings).flatMap((d) => [...d.data]);

describe('a chain of ops', () => {
  it('of an MLP: layernorm, modulate, linear, gelu, linear, residual', () => {
    const b = new Bench();
    const { f } = b;
    const x = b.weight('x', [2, 3, 8]);
    const [shift, scale, gate] = ['shift', 'scale', 'gate'].map((name) => b.weight(name, [2, 1, 8]));
    const norm = f.op('layer_norm', [x], { eps: 1e-6 });
    const modulated = f.add(f.mul(norm, f.add(scale, 1)), shift);
    const h = f.unary('gelu', f.op('linear', [modulated, b.weight('fc1.weight', [20, 8]), b.weight('fc1.bias', [20])]));
    const out = f.op('linear', [h, b.weight('fc2.weight', [8, 20]), b.weight('fc2.bias', [8])]);
    b.check(f.add(x, f.mul(gate, out)));
  });

  it('of multi-head attention with heads split from one projection', () => {
    const b = new Bench();
    const { f } = b;
    const [batch, tokens, heads, width] = [2, 5, 3, 4];
    const x = b.weight('x', [batch, tokens, heads * width]);
    const qkv = f.op('linear', [x, b.weight('qkv', [3 * heads * width, heads * width])]);
    const split = f.permute(f.reshape(qkv, [batch, tokens, 3, heads, width]), [2, 0, 3, 1, 4]);
    const [q, k, v] = [0, 1, 2].map((i) => {
      const part = f.slice(split, [i, 0, 0, 0, 0], [1, batch, heads, tokens, width]);
      return f.reshape(part, [batch, heads, tokens, width]);
    });
    const scores = f.mul(f.matmul(q, f.transpose(k)), 1 / Math.sqrt(width));
    const mixed = f.permute(f.matmul(f.op('softmax', [scores]), v), [0, 2, 1, 3]);
    b.check(f.op('linear', [f.reshape(mixed, x.type.shape), b.weight('proj', [heads * width, heads * width])]));
  });

  it('of an embedding, a timestep MLP and a mean squared loss', () => {
    const b = new Bench();
    const { f } = b;
    const labels = f.op('input', [], { name: 'labels', dtype: 'i32', shape: [4] });
    b.bindings.labels = Float64Array.of(2, 0, 2, 1);
    const c = f.add(f.gather(b.weight('table', [3, 6]), labels), f.unary('silu', b.weight('t', [1, 6])));
    const error = f.sub(f.unary('tanh', c), 0.5);
    b.check(f.mean(f.square(error), [0, 1]));
  });

  it('of patchify as views: slices with steps, pads and joins', () => {
    const b = new Bench();
    const { f } = b;
    const x = b.weight('x', [2, 6, 6]);
    const even = f.slice(x, [0, 0, 1], [2, 3, 2], [1, 2, 3]);
    const padded = f.pad(even, [0, 1, 0], [1, 0, 2], 0.5);
    b.check(f.mul(f.concat([padded, f.square(padded)], 2), 0.7));
  });
});

describe('random graphs', () => {
  it('have verified gradients that finite differences show', () => {
    let checked = 0;
    for (let seed = 0; seed < 40; seed++) {
      const { graph, bindings } = randomGraph(seed, { size: 8, without: ['floor', 'detach'], gradients: true });
      verify(graph, opTable);
      const f = new Functional(new GraphBuilder(opTable));
      const copy = copyInto(f, graph);
      const loss = graph.outputs.find((o) => o.name === 'loss');
      const weights = [...copy.values()].filter((n) => n.op === 'param' && f.isFloat(n));
      if (!loss || !weights.length) continue;
      checkGradient(f, copy.get(loss.node)!, weights, bindings, new Random(seed));
      checked++;
    }
    expect(checked).toBeGreaterThan(20);
  });
});

/** The nodes of a graph in another builder, where more can be added. */
function copyInto(f: Functional, graph: Graph): Map<Node, Node> {
  const copy = new Map<Node, Node>();
  const inputs = (node: Node) => node.inputs.map((n) => copy.get(n)!);
  for (const node of nodesOf(graph)) copy.set(node, f.op(node.op, inputs(node), node.attrs));
  return copy;
}

describe('higher derivatives', () => {
  it('second derivative of a scalar chain is the derivative of the first', () => {
    const b = new Bench();
    const { f } = b;
    const x = b.weight('x', []);
    const chain = f.mul(f.unary('sin', f.exp(f.mul(x, 0.5))), f.sigmoid(f.square(x)));
    const [first] = gradients(f, chain, [x]);
    b.check(first);
    const [second] = gradients(f, first, [x]);
    b.check(second);
  });

  it('x³: 3x², 6x, 6, 0', () => {
    const b = new Bench();
    const { f } = b;
    const x = b.weight('x', []);
    b.bindings.x = Float64Array.of(1.5);
    const values: Node[] = [f.mul(f.square(x), x)];
    for (let n = 0; n < 4; n++) values.push(gradients(f, values[n], [x])[0]);
    expect(number(values, b.bindings)).toEqual([3.375, 6.75, 9, 6, 0]);
  });

  it('gradient of a gradient norm through layernorm, softmax and linear', () => {
    const b = new Bench();
    const { f } = b;
    const x = b.weight('x', [3, 5]);
    const w = b.weight('w', [4, 5]);
    const y = f.op('softmax', [f.op('linear', [f.op('layer_norm', [x], { eps: 1e-3 }), w])]);
    const [dx] = gradients(f, b.all(f.square(y)), [x]);
    b.check(f.square(dx));
  });
});

describe('what has a gradient', () => {
  const start = () => {
    const b = new Bench();
    return { b, f: b.f, x: b.weight('x', [2, 3]) };
  };

  it('sums over axes an operand was broadcast along', () => {
    const { b, f, x } = start();
    const [bias, scalar] = [b.weight('bias', [3]), b.weight('scalar', [])];
    const grads = gradients(f, b.all(f.add(f.add(x, bias), scalar)), [bias, scalar]);
    expect(grads.map((g) => g.type.shape)).toEqual([[3], []]);
    expect(number(grads, b.bindings)).toEqual([2, 2, 2, 6]);
  });

  it('adds up the paths of a value used twice', () => {
    const { b, f, x } = start();
    const [dx] = gradients(f, b.all(f.add(f.mul(x, x), x)), [x]);
    const [got] = evaluate([dx], b.bindings);
    got.data.forEach((g, i) => expect(g).toBeCloseTo(2 * b.bindings.x[i] + 1, 12));
  });

  it('is zero, of the right type, where no path leads', () => {
    const { b, f, x } = start();
    const other = f.op('param', [], { name: 'other', dtype: 'f16', shape: [4] });
    const detached = f.op('detach', [x]);
    const counted = f.cast(f.compare('gt', x, 0), 'f32');
    const grads = gradients(f, b.all(f.add(detached, counted)), [x, other]);
    expect(grads.map((g) => g.type)).toEqual([x.type, other.type]);
    expect(number(grads, { ...b.bindings, other: [0, 0, 0, 0] }).every((g) => g === 0)).toBe(true);
  });

  it('counts every path when one variable is made from another', () => {
    const { b, f, x } = start();
    const y = f.mul(x, 3);
    const [dx, dy] = gradients(f, b.all(f.mul(y, 2)), [x, y]);
    expect(number([dx, dy], b.bindings)).toEqual([...Array(6).fill(6), ...Array(6).fill(2)]);
  });

  it('gives 1 for the loss itself', () => {
    const { b, f } = start();
    const s = b.weight('s', []);
    expect(number(gradients(f, s, [s]), b.bindings)).toEqual([1]);
  });

  it('does not differentiate side branches', () => {
    const { b, f, x } = start();
    const frozen = b.weight('frozen', [3, 3]);
    const [dx] = gradients(f, b.all(f.matmul(x, frozen)), [x]);
    const made = nodesOf({ name: 'g', inputs: [], outputs: [{ name: 'dx', node: dx }], updates: [] });
    expect(made.filter((n) => n.op === 'matmul').length).toBe(1);
  });

  it('carries names and places of what it differentiates', () => {
    const { b, f, x } = start();
    f.builder.location = () => 'models/my.ts:7:3';
    const q = f.exp(x);
    q.name = 'q';
    const loss = b.all(f.mul(q, q));
    f.builder.location = () => undefined;
    const [dx] = gradients(f, loss, [x]);
    const made = nodesOf({ name: 'g', inputs: [], outputs: [{ name: 'dx', node: dx }], updates: [] });
    expect(made.map((n) => n.name)).toContain('d_q');
    expect(dx.name).toBe('d_x');
    expect(dx.loc).toBe('models/my.ts:7:3');
    expect(q.name).toBe('q');
  });

  it('refuses a loss that is not a scalar, or not a float, and integer variables', () => {
    const { b, f, x } = start();
    f.builder.location = () => 'models/my.ts:9:1';
    const y = f.exp(x);
    y.name = 'y';
    expect(() => gradients(f, y, [x])).toThrow(
      'models/my.ts:9:1: gradient: the loss is not a scalar: y is f32[2,3]; reduce it with mean() or sum()',
    );
    expect(() => gradients(f, f.constant(1, 'i32'), [x])).toThrow('the loss is i32[], not a floating-point number');
    const labels = f.op('input', [], { name: 'y', dtype: 'i32', shape: [2] });
    expect(() => gradients(f, b.all(x), [labels])).toThrow('cannot differentiate with respect to input of type i32[2]');
  });
});

describe('the gradient check itself', () => {
  it('finds a gradient that is wrong', () => {
    const b = new Bench();
    const x = b.weight('x', [3]);
    expect(() => b.check(b.f.mul(x, b.f.op('detach', [x])))).toThrow(/gradient .* difference quotient/);
  });

  it('refuses to judge at a jump', () => {
    const b = new Bench();
    const x = b.weight('x', [1]);
    b.bindings.x = Float64Array.of(0);
    expect(() => b.check(b.f.select(b.f.compare('ge', x, 0), b.f.add(x, 1), x))).toThrow(/blind|gradient/);
  });
});
