/**
 * Products of few elements on GPUs: parts of the depth, added up by a second kernel that takes in the epilogue.
 * @once
 */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { splitDepth } from '../../../compiler/fusion/split-depth.ts';
import { nodesOf, Remarks, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { pipeline } from '../../../compiler/pipeline.ts';
import { specOf } from '../../../library/device.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { HARDWARE } from '../../helpers/devices.ts';
import { productGraph } from '../../helpers/fragment-products.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const PASSES = pipeline.filter(({ name }) => name === 'split-depth');

/** A linear layer of a batch, then gate · y + residual. */
const linear = (batch: readonly number[], m: number, n: number, k: number) =>
  graphOf((f, input) => {
    const product = f.matmul(input('x', [...batch, m, k]), f.transpose(input('w', [n, k])));
    const biased = f.add(product, input('bias', [n]));
    return [f.add(f.mul(biased, input('gate', [n])), input('residual', [...batch, m, n]))];
  });

function judged(graph: Graph) {
  const random = new Random(11);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

const partsOf = (graph: Graph, device: DeviceSpec, remarks = new Remarks()) =>
  nodesOf(splitDepth(graph, { device, remarks })).find(({ op }) => op === 'reduce_sum')?.inputs[0].type.shape[0] ?? 1;

describe('the depth', () => {
  it('is cut where the tiles of the product are few', () => {
    // DiT-XL/2 at batch 1: projection, fc2, qkv; then at batch 8.
    expect(partsOf(linear([], 256, 1152, 1152), HARDWARE)).toBe(4);
    expect(partsOf(linear([], 256, 1152, 4608), HARDWARE)).toBe(4);
    expect(partsOf(linear([], 256, 3456, 1152), HARDWARE)).toBe(1);
    expect(partsOf(linear([], 2048, 1152, 1152), HARDWARE)).toBe(1);
  });

  it('is left whole where its parts would be short, on devices that others than GPUs run, and where the order must not change', () => {
    expect(partsOf(linear([], 64, 64, 192), HARDWARE)).toBe(1);
    expect(partsOf(linear([], 64, 64, 1025), HARDWARE)).toBe(1);
    expect(partsOf(linear([], 256, 1152, 1152), PORTABLE)).toBe(1);
    expect(partsOf(linear([], 256, 1152, 1152), { ...HARDWARE, steady: true })).toBe(1);
  });

  it('is cut on matrix units where its parts are long, and f16 is added up in f32', () => {
    const product = (k: number) => productGraph({ m: 256, n: 384, k }, 'f16');
    const parts = (k: number) => partsOf(product(k), specOf('rdna3'));
    expect([512, 1536, 2048, 4096].map(parts)).toEqual([1, 1, 2, 4]);
    const cut = splitDepth(product(2048), { device: specOf('rdna3'), remarks: new Remarks() });
    expect(nodesOf(cut).flatMap(({ op, type }) => (op === 'matmul' ? type.dtype : []))).toEqual(['f32']);
  });

  it('and the reason is given', () => {
    const remarks = new Remarks();
    partsOf(linear([], 256, 1152, 1152), HARDWARE, remarks);
    expect(remarks.list[0].why).toMatch(/has 294,912 elements: 4 parts of its depth are summed up by a second kernel/);
  });
});

it.each([
  [[], 70, 64, 256],
  [[2], 64, 68, 264],
  [[], 129, 36, 512],
])('batch %j, %d×%d of %d: two kernels, and right', (batch, m, n, k) => {
  const graph = linear(batch, m, n, k);
  const { bindings, want } = judged(graph);
  const { outputs, scheduled } = runSchedule(graph, bindings, { device: HARDWARE, passes: PASSES, verify: true });
  expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['product-tiled-vec4', 'row-vectors']);
  for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
});
