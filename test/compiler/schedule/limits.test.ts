/** Kernels bind no more buffers than the device allows, however many values meet in one expression. */
import { expect, it } from 'vitest';
import { GraphBuilder } from '../../../compiler/ir/index.ts';
import { Functional, opTable } from '../../../compiler/ops/index.ts';
import { compileGraphs } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/schedule/device.ts';

const SUMMANDS = 12;

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
  const most = Math.max(...Object.values(kernels).map((kernel) => kernel.bindings.length));
  expect(most).toBeLessThanOrEqual(PORTABLE.limits.maxStorageBuffersPerShaderStage);
});
