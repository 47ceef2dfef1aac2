/** Building: hash-consing, places, and the walks over a graph. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, rebuild, usersOf, type Graph } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable } from '../../../compiler/ops/index.ts';

const start = () => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2, 3] });
  return { f, x };
};
const graphOf = (x: Graph['inputs'][0], y: Graph['inputs'][0]): Graph => ({
  name: 'g',
  inputs: [x],
  outputs: [{ name: 'y', node: y }],
  updates: [],
});

describe('hash-consing', () => {
  it('makes equal applications one node', () => {
    const { f, x } = start();
    expect(f.add(f.mul(x, 2), 1)).toBe(f.add(f.mul(x, 2), 1));
    expect(f.op('reduce_sum', [x], { axes: [0, 1] })).toBe(f.op('reduce_sum', [x], { axes: [0, 1] }));
  });

  it('ignores the order in which attributes are written', () => {
    const { f } = start();
    const a = f.op('constant', [], { value: 1, dtype: 'f32', shape: [] });
    expect(f.op('constant', [], { shape: [], dtype: 'f32', value: 1 })).toBe(a);
  });

  it('compares constant data by content', () => {
    const { f } = start();
    const make = (...data: number[]) =>
      f.op('constant', [], { dtype: 'f32', shape: [data.length], data: Float64Array.from(data) });
    expect(make(1, 2)).toBe(make(1, 2));
    expect(make(1, 2)).not.toBe(make(1, 3));
    expect(make(0, 1)).not.toBe(make(-0, 1));
  });

  it('keeps operands, attributes, dtypes and signed zeros apart', () => {
    const { f, x } = start();
    const y = f.op('input', [], { name: 'y', dtype: 'f32', shape: [2, 3] });
    expect(f.sub(x, y)).not.toBe(f.sub(y, x));
    expect(f.constant(1, 'i32')).not.toBe(f.constant(1, 'u32'));
    expect(f.constant(0)).not.toBe(f.constant(-0));
    expect(f.sum(x, [0])).not.toBe(f.sum(x, [1]));
  });
});

describe('a builder', () => {
  it('puts the place of the call into nodes and errors', () => {
    const { f, x } = start();
    f.builder.location = () => 'models/my.ts:3:5';
    expect(f.exp(x).loc).toBe('models/my.ts:3:5');
    expect(() => f.matmul(x, x)).toThrow(/^models\/my\.ts:3:5: matmul: inner sizes differ/);
  });

  it('refuses an operand of another graph', () => {
    expect(() => start().f.exp(start().x)).toThrow('exp: an operand belongs to another graph; rebuild it in this one');
  });
});

describe('walks', () => {
  it('list nodes in topological order, unread inputs included, the rest left out', () => {
    const { f, x } = start();
    const unread = f.op('input', [], { name: 'unread', dtype: 'f32', shape: [] });
    f.exp(x);
    const y = f.add(f.mul(x, 2), 1);
    const nodes = nodesOf({ ...graphOf(x, y), inputs: [x, unread] });
    expect(nodes.map((n) => n.op)).toEqual(['input', 'input', 'constant', 'mul', 'constant', 'add']);
    expect(nodes.every((n) => n.inputs.every((input) => nodes.indexOf(input) < nodes.indexOf(n)))).toBe(true);
  });

  it('name each reader once', () => {
    const { f, x } = start();
    const square = f.mul(x, x);
    const users = usersOf(nodesOf(graphOf(x, f.add(square, x))));
    expect(users.get(x)!.map((n) => n.op)).toEqual(['mul', 'add']);
  });
});

it('rebuild replaces nodes, and keeps names and places', () => {
  const { f, x } = start();
  f.builder.location = () => 'm.ts:1:1';
  const square = f.mul(x, x);
  square.name = 'square';
  const graph = graphOf(x, f.exp(square));
  const made = rebuild(graph, opTable, (node, [a], builder) =>
    node.op === 'mul' ? builder.apply('abs', [a]) : undefined,
  );
  const [abs] = made.outputs[0].node.inputs;
  expect([abs.op, abs.name, abs.loc]).toEqual(['abs', 'square', 'm.ts:1:1']);
  expect(interpret(made, { x: [0, -1, 2, 0, 0, 0] }).outputs.y.data[1]).toBeCloseTo(Math.E, 12);
});
