/** Convolutions and their gradients on matrix units: what they take windows of lies in memory with its channels side by side. */
import { describe, expect, it } from 'vitest';
import { compileGraphs } from '../../../compiler/compile.ts';
import type { DeviceSpec } from '../../../compiler/device.ts';
import { sizeOf, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { passesFor } from '../../../compiler/pipeline.ts';
import { backward, CONVOLUTIONS, forward } from '../../helpers/convolutions.ts';
import { MATRIX_DEVICES } from '../../helpers/fragment-products.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { shaderCheck } from '../../helpers/shader-check.ts';

/** Whole numbers, of which f16 has all that are multiplied here. */
function drawn(graph: Graph) {
  const random = new Random(5);
  const numbers = ({ type }: Node) => Float64Array.from({ length: sizeOf(type.shape) }, () => random.int(-4, 4));
  return Object.fromEntries(graph.inputs.map((node) => [String(node.attrs.name), numbers(node)]));
}

const optionsFor = (device: DeviceSpec) => ({ device, passes: passesFor('f16'), verify: true });

function expectExact(graph: Graph, device: DeviceSpec): string[] {
  const bindings = drawn(graph);
  const want = interpret(graph, bindings).outputs;
  const { outputs, scheduled } = runSchedule(graph, bindings, optionsFor(device));
  for (const { name } of graph.outputs) expect([...outputs[name]], name).toEqual([...want[name].data]);
  return scheduled.regions.map(({ plan }) => plan.family);
}

const byDevice = MATRIX_DEVICES.map((device) => [device.name, device] as const);

describe.each(byDevice)('%s', (_, device) => {
  it.each(CONVOLUTIONS)('$name, to the bit', (options) => {
    expect(expectExact(forward(options), device)).toContain('product-fragments');
  });

  it.each(CONVOLUTIONS)('the gradients of $name, to the bit', (options) => {
    expect(expectExact(backward(options), device)).toContain('product-fragments');
  });

  it('load nothing but vectors of four', async () => {
    const { wgsl, manifest } = compileGraphs([backward(CONVOLUTIONS[0])], optionsFor(device));
    const products = Object.entries(manifest.kernels).filter(([, { plan }]) => plan.family === 'product-fragments');
    expect(products.length).toBeGreaterThan(1);
    for (const [name, { features }] of products) {
      const text = wgsl.get(name)!;
      expect(text).not.toMatch(/var<storage, read> \w+: array<(f16|f32)[,>]/);
      const check = await shaderCheck(features);
      expect(await check(text)).toEqual([]);
    }
  });
});
