/** The models of zoo/ compiled, run and counted: what test/models/zoo*.test.ts share. */
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { nodesOf, sizeOf, type Graph } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import type { CompileOptions, Precision } from '../../compiler/pipeline.ts';
import type { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';

/** Weights of a trained network's scale, U(±√(3/fan-in)); integers are small, so that they index every table. */
export function drawBindings(graph: Graph, seed = 1): Record<string, Float64Array> {
  const random = new Random(seed);
  const leaves = nodesOf(graph).filter((node) => ['input', 'param', 'state'].includes(node.op));
  return Object.fromEntries(
    leaves.map(({ op, attrs, type }) => {
      const { dtype, shape } = type;
      const bound = op === 'param' && shape.length > 1 ? Math.sqrt(3 / sizeOf(shape.slice(1))) : 1.5;
      // Variances and norm weights are positive.
      const low = /running_var|norm.*weight/.test(String(attrs.name)) ? 0.2 : -bound;
      const draw = () => (dtype === 'f32' ? Math.fround(random.uniform(low, bound)) : random.int(1, 6));
      return [String(attrs.name), Float64Array.from({ length: sizeOf(shape) }, draw)];
    }),
  );
}

export const compile = (
  model: Model,
  device: DeviceSpec,
  entry: string,
  batch: number,
  dtype?: Precision,
  plan?: CompileOptions['plan'],
) =>
  compileModel(model, {
    ...{ name: 'zoo', source: 'zoo', device, verify: true, dtype, plan },
    ...{ entries: [entry], entryOptions: { batch } },
  });

/** What each dispatch of an entry computes, on a device that offers what every WebGPU device does. */
export function dispatchesOf(model: Model, batch = 2, entry = 'forward', device = PORTABLE): string[] {
  const { dispatches } = compile(model, device, entry, batch).manifest.entries[entry];
  return dispatches.map(({ kernel, ops }) => `${kernel}: ${ops.join(' ')}`);
}

/** The largest relative error of an entry's outputs on the GPU against the float64 interpreter. NaN counts as infinite. */
export async function errorOf(gpu: TestGpu, model: Model, batch: number, entry = 'forward') {
  const { graph } = traceEntry(model, entry, { batch });
  const bindings = drawBindings(graph);
  const want = interpret(graph, bindings).outputs;
  const { outputs } = await gpu.run(compile(model, gpu.spec, entry, batch), entry, bindings);
  const errors = Object.entries(want).map(([name, { data }]) => relativeError(outputs[name], data));
  return Math.max(...errors.map((x) => (Number.isNaN(x) ? Infinity : x)));
}
