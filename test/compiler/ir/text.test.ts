/** The text form: what it looks like, and what the parser says of mistakes. */
import { describe, expect, it } from 'vitest';
import {
  GraphBuilder,
  parseGraph,
  parseGraphs,
  printGraph,
  rebuild,
  verify,
  type Graph,
} from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable } from '../../../compiler/ops/index.ts';

const EXAMPLE = `graph @forward(%x: f32[2,3], %y: i32[2]) {
  %blocks.0.attn.weight = param {dtype = "f32", name = "blocks.0.attn.weight", shape = [3, 3]} : f32[3,3]
  %q = matmul %x, %blocks.0.attn.weight : f32[2,3]  @ models/my.ts:4:9
  %0 = constant {dtype = "f32", shape = [], value = -0.5} : f32[]
  %q.1 = add %q, %0 : f32[2,3]
  %ema = state {dtype = "f32", name = "ema", shape = [2, 3]} : f32[2,3]
  %1 = add %ema, %q.1 : f32[2,3]
  update %ema = %1
  return out = %q.1
}
`;

const start = () => new Functional(new GraphBuilder(opTable));
const single = (node: Graph['inputs'][0], inputs: Graph['inputs'] = []): Graph => ({
  name: 'g',
  inputs,
  outputs: [{ name: 'out', node }],
  updates: [],
});
const fixpoint = (graph: Graph): string => {
  const text = printGraph(graph);
  const again = verify(parseGraph(text, opTable), opTable);
  expect(printGraph(again)).toBe(text);
  return text;
};

describe('the text form', () => {
  it('is a fixpoint of parse and print', () => {
    const graph = verify(parseGraph(EXAMPLE, opTable), opTable);
    expect(printGraph(graph)).toBe(EXAMPLE);
    expect(graph.outputs[0].node.name).toBe('q');
    expect(graph.inputs.map((n) => n.attrs.name)).toEqual(['x', 'y']);
  });

  it('tells what is computed once more from what it repeats', () => {
    const text = [
      'graph @g(%x: f32[3]) {\n',
      '  %0 = exp %x : f32[3]\n',
      '  %1 = exp#0 %x : f32[3]\n',
      '  %2 = exp#1 %x : f32[3]\n',
      '  %3 = add %0, %1 : f32[3]\n',
      '  %4 = add %3, %2 : f32[3]\n',
      '  return y = %4\n',
      '}\n',
    ].join('');
    const graph = verify(parseGraph(text, opTable), opTable);
    expect(printGraph(graph)).toBe(text);
    expect(rebuild(graph, opTable, () => undefined).outputs[0].node.inputs[1].copy).toBe(1);
  });

  it('leaves places out when asked', () => {
    expect(printGraph(parseGraph(EXAMPLE, opTable), { locations: false })).not.toContain('@ models');
  });

  it('ignores comments and blank lines', () => {
    const spaced = EXAMPLE.replace('  %q =', '\n  // the query\n  %q =');
    expect(printGraph(parseGraph(spaced, opTable))).toBe(EXAMPLE);
  });

  it('holds several graphs', () => {
    expect(parseGraphs(EXAMPLE + EXAMPLE.replace('@forward', '@again'), opTable).map((g) => g.name)).toEqual([
      'forward',
      'again',
    ]);
  });

  it('keeps every double of a constant, short or long, to the bit', () => {
    const f = start();
    const odd = [0, -0, 1 / 3, -1e-310, 5e-324, 1.7976931348623157e308, 2 ** 53, 1e21, 1e-7, -Infinity];
    for (const data of [odd, [...odd, ...odd]].map((list) => Float64Array.from(list))) {
      const graph = single(f.op('constant', [], { dtype: 'f32', shape: [data.length], data }));
      const out = interpret(parseGraph(fixpoint(graph), opTable), {}).outputs.out.data;
      expect(out.every((x, i) => Object.is(x, data[i]))).toBe(true);
    }
  });

  it('keeps any text in names of weights', () => {
    const f = start();
    for (const name of ['0.weight', 'a "quoted"\n\\ name', 'pos.1', 'größe', '😀']) {
      const node = f.op('param', [], { name, dtype: 'f32', shape: [1] });
      expect(parseGraph(fixpoint(single(node)), opTable).outputs[0].node.attrs.name).toBe(name);
    }
  });

  it('keeps an input its name when a value of the same name came before it', () => {
    const f = start();
    const a = f.op('input', [], { name: 'a', dtype: 'f32', shape: [2] });
    const early = f.exp(a);
    early.name = 'x';
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2] });
    const x1 = f.op('input', [], { name: 'x.1', dtype: 'f32', shape: [2] });
    const sum = f.add(f.add(early, x), x1);
    sum.name = 'x';
    const text = fixpoint(single(sum, [a, x, x1]));
    expect(parseGraph(text, opTable).inputs.map((n) => n.attrs.name)).toEqual(['a', 'x', 'x.1']);
    expect(text).toContain('%x.2 = exp %a');
  });

  it('survives values named like counted values', () => {
    const f = start();
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [] });
    const names = ['h', 'h', 'h.1', 'h_1', '$tmp', 'naïve', '0'];
    let node = x;
    for (const name of names) (node = f.add(node, x)).name = name;
    fixpoint(single(node, [x]));
  });
});

describe('parse errors', () => {
  const cases: [string, string, RegExp][] = [
    ['%q = matmul', '%q = matmul :', /^t\.ir:3:\d+: syntax error: expected/],
    ['matmul %x', 'matmul %z', /^t\.ir:3:\d+: %z is used before it is defined/],
    ['%q.1 = add', '%q = add', /^t\.ir:5:3: %q is defined twice/],
    ['f32[2,3]  @', 'f32[3,2]  @', /^t\.ir:3:3: %q is written f32\[3,2\] but matmul gives f32\[2,3\]/],
    ['matmul %x, %blocks.0.attn.weight', 'matmul %x, %x', /^t\.ir:3:3: matmul: inner sizes differ/],
    ['= add', '= addd', /^t\.ir:5:3: unknown op addd/],
    ['i32[2]', 'i64[2]', /^t\.ir:1:34: unknown dtype i64; use one of/],
  ];
  it.each(cases)('%s → %s', (from, to, message) => {
    expect(() => parseGraph(EXAMPLE.replace(from, to), opTable, 't.ir')).toThrow(message);
  });
});
