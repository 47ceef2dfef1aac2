/** Kernels bind no more buffers than the device allows, however many values meet in one expression. */
import { expect, it } from 'vitest';
import type { KernelSpec } from '../../../compiler/emit/artefact.ts';
import { GraphBuilder, type Node } from '../../../compiler/ir/index.ts';
import { Functional, opTable } from '../../../compiler/ops/index.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';

const SUMMANDS = 12;

const mostBound = (kernels: Readonly<Record<string, KernelSpec>>): number =>
  Math.max(...Object.values(kernels).map(({ bindings }) => bindings.length));

it.each(['matmul', 'softmax', 'input'])('%s plus twelve parameters', (kind) => {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const leaf = (op: string, name: string, shape: number[]) => builder.apply(op, [], { name, dtype: 'f32', shape });
  const [x, w] = [leaf('input', 'x', [6, 8]), leaf('input', 'w', [8, 8])];
  const start = { matmul: () => f.matmul(x, w), softmax: () => f.op('softmax', [x]), input: () => x }[kind]!();
  let node = start;
  for (let i = 0; i < SUMMANDS; i++) node = f.add(node, leaf('param', `p${i}`, [6, 8]));
  const graph = { name: 'wide', inputs: [x, w], outputs: [{ name: 'out', node }], updates: [] };
  const { kernels } = compileGraphs([graph], { device: PORTABLE, verify: true }).manifest;
  expect(mostBound(kernels)).toBeLessThanOrEqual(PORTABLE.limits.maxStorageBuffersPerShaderStage);
});

/** What is laid side by side, turned: computed, in memory already, or joined of what products make. */
const TURNED: Readonly<Record<string, (f: Functional, x: Node) => Node>> = {
  'twelve values': (f, x) => f.exp(x),
  'twelve parameters': (_, x) => x,
  'twelve pairs of products': (f, x) => {
    const square = f.matmul(f.transpose(x), x);
    return f.concat([f.matmul(x, square), f.op('softmax', [f.matmul(x, f.exp(square))])], 0);
  },
};

it.each(Object.entries(TURNED))('a product of %s laid side by side', (_, made) => {
  const f = new Functional(new GraphBuilder(opTable));
  const pieces = Array.from({ length: SUMMANDS }, (_, i) =>
    f.transpose(made(f, f.op('param', [], { name: `p${i}`, dtype: 'f32', shape: [64, 2] }))),
  );
  const all = f.concat(pieces, 0);
  const graph = {
    name: 'wide',
    inputs: [],
    outputs: [{ name: 'out', node: f.matmul(all, f.transpose(all)) }],
    updates: [],
  };
  const { kernels } = compileGraphs([graph], { device: PORTABLE, verify: true }).manifest;
  expect(mostBound(kernels)).toBeLessThanOrEqual(PORTABLE.limits.maxStorageBuffersPerShaderStage);
});

it('a convolution of a sum of many pictures stores the sum, no window of it and no bias', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const leaf = (op: string, name: string, shape: number[]) => f.op(op, [], { name, dtype: 'f32', shape });
  const [C, H, W] = [4, 6, 6];
  const pictures = Array.from({ length: 6 }, (_, i) => leaf('input', `x${i}`, [C, H, W]));
  const sum = pictures.reduce((a, b) => f.add(a, b));
  const padded = f.pad(sum, [0, 1, 1], [0, 1, 1]);
  const windows = f.unfold(f.unfold(padded, 1, 3), 2, 3);
  const columns = f.reshape(f.permute(windows, [0, 3, 4, 1, 2]), [C * 9, H * W]);
  const product = f.matmul(leaf('param', 'w', [8, C * 9]), columns);
  const biased = f.add(product, f.reshape(leaf('param', 'bias', [8]), [8, 1]));
  const node = f.mul(f.add(biased, leaf('param', 'residual', [8, H * W])), leaf('param', 'gate', [8, 1]));
  const graph = { name: 'conv', inputs: pictures, outputs: [{ name: 'out', node }], updates: [] };
  const { entries } = compileGraphs([graph], { device: PORTABLE, verify: true }).manifest;
  expect(entries.conv.dispatches).toHaveLength(2);
  const windowBytes = 4 * C * 9 * H * W;
  expect(entries.conv.memory.activationPeakBytes).toBeLessThan(windowBytes);
});
