/** Kernels against the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFloat, nodesOf, type Graph } from '../../compiler/ir/index.ts';
import { allOps, interpret, type Bindings } from '../../compiler/ops/index.ts';
import { inputRanges } from '../../compiler/emit/input-range.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { randomGraph } from '../helpers/random-graph.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { opCase } from '../helpers/samples.ts';
import { KERNEL } from '../helpers/tolerances.ts';

const SAMPLES_PER_OP = 4;
const FUZZ_SEEDS = 40;

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
  console.log(`kernels run on ${gpu.spec.name}`);
});
afterAll(() => gpu?.close());

/** The device's own plans, those for a device without subgroups (workgroup memory instead), and attention's own kernels. */
const plans = (graph: Graph): DeviceSpec[] => [
  gpu.spec,
  { ...gpu.spec, name: 'plans without subgroups', subgroups: null },
  ...(nodesOf(graph).some(({ op }) => op.startsWith('attention'))
    ? [{ ...gpu.spec, name: 'attentions of any size in one kernel', cacheBytes: 0 }]
    : []),
];

async function expectAgreement(graph: Graph, bindings: Bindings, note: string): Promise<void> {
  const want = interpret(graph, bindings);
  for (const device of plans(graph)) {
    const got = await gpu.runGraph(graph, bindings, device);
    for (const { name, node } of graph.outputs) {
      const error = relativeError(got.outputs[name], want.outputs[name].data);
      const bound = isFloat(node.type.dtype) ? KERNEL : 0;
      expect(error, `${note}, output ${name}, ${device.name}`).toBeLessThanOrEqual(bound);
    }
  }
}

describe('every op equals its reference on random shapes', () => {
  it.each(
    allOps()
      .filter(({ kind }) => kind !== 'request')
      .map((def) => [def.name, def] as const),
  )('%s', async (_name, def) => {
    for (let seed = 0; seed < SAMPLES_PER_OP; seed++) {
      const { graph, bindings } = opCase(def, seed);
      await expectAgreement(graph, bindings, `sample ${seed}`);
    }
  });
});

/** Rows that are not there are refused by the runtime: indices are brought to those that are. */
function withinTables(graph: Graph, bindings: Bindings): Bindings {
  const ranges = inputRanges(graph);
  const within = ([least, end]: readonly [number, number], values: ArrayLike<number>) =>
    Array.from(values, (value) => least + ((((value - least) % (end - least)) + (end - least)) % (end - least)));
  return Object.fromEntries(
    Object.entries(bindings).map(([name, values]) => [
      name,
      ranges.has(name) ? within(ranges.get(name)!, values) : values,
    ]),
  );
}

describe('random graphs equal the interpreter', () => {
  const seeds = Array.from({ length: FUZZ_SEEDS }, (_, i) => i);
  it.each(seeds)('seed %i', async (seed) => {
    const { graph, bindings } = randomGraph(seed, { size: 16, gradients: seed % 4 === 3 });
    await expectAgreement(graph, withinTables(graph, bindings), `seed ${seed}`);
  });
});

it('portable plans are within the portable limits', () => {
  for (const [name, most] of Object.entries(PORTABLE.limits)) {
    if (!name.startsWith('min')) expect(gpu.spec.limits[name], name).toBeGreaterThanOrEqual(most);
  }
});
