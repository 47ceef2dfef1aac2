/** Integers at the ends of their range and divided by 0: kernels give what the interpreter does, which is what WGSL defines. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GraphBuilder, type DType, type Node } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { Program } from '../../runtime/program.ts';
import { openGpu, type OpenDevice } from '../../runtime/node/index.ts';

let gpu: OpenDevice;
beforeAll(async () => void (gpu = await openGpu()));
afterAll(() => gpu.close());

const [LEAST, MOST, ALL] = [-(2 ** 31), 2 ** 31 - 1, 2 ** 32 - 1];
const ENDS = {
  i32: [LEAST, LEAST + 1, -7, -2, -1, 0, 1, 2, 7, MOST - 1, MOST],
  u32: [0, 1, 2, 7, MOST, -LEAST, ALL - 1, ALL],
} as const satisfies Partial<Record<DType, readonly number[]>>;

/** Each value beside each: of memory, and as literals that the compiler folds, divisors of 0 among them. */
it.each(['i32', 'u32'] as const)('%s: sums, products, quotients and remainders', async (dtype) => {
  const values = ENDS[dtype];
  const shape = [values.length, values.length];
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const input = (name: string) => builder.apply('input', [], { name, dtype, shape });
  const [x, y] = [input('x'), input('y')];
  const ofMemory = ['add', 'sub', 'mul', 'div', 'rem', 'max', 'min'].map((op) => f.op(op, [x, y]));
  const ofLiterals = values.flatMap((value): Node[] => {
    const literal = f.constant(value, dtype);
    return [f.add(x, literal), f.div(x, literal), f.op('rem', [x, literal]), f.div(f.constant(7, dtype), literal)];
  });
  const outputs = [...ofMemory, ...ofLiterals].map((node, i) => ({ name: `o${i}`, node }));
  const graph = { name: 'main', inputs: [x, y], outputs, updates: [] };
  const given = [values.flatMap((value) => values.map(() => value)), values.flatMap(() => [...values])];
  const bound = { x: given[0], y: given[1] };
  const wanted = interpret(graph, bound);
  const program = await Program.create(gpu.device, compileGraphs([graph], { device: gpu.spec }));
  const array = dtype === 'i32' ? Int32Array : Uint32Array;
  given.forEach((data, i) => program.write(['x', 'y'][i], array.from(data)));
  await program.run('main');
  for (const { name } of outputs) {
    const found = await program.readOutput('main', name);
    expect([...found], name).toEqual([...wanted.outputs[name].data]);
  }
  program.close();
});

it('an integer by 0 is itself, and leaves nothing over', () => {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const [x, y] = ['x', 'y'].map((name) => builder.apply('input', [], { name, dtype: 'i32', shape: [3] }));
  const outputs = ['div', 'rem'].map((name) => ({ name, node: f.op(name, [x, y]) }));
  const graph = { name: 'main', inputs: [x, y], outputs, updates: [] };
  const { outputs: found } = interpret(graph, { x: [5, -5, LEAST], y: [0, 0, -1] });
  expect([...found.div.data]).toEqual([5, -5, LEAST]);
  expect([...found.rem.data].map((value) => value + 0)).toEqual([0, 0, 0]);
});
