/**
 * An example comes out the same, to the last bit, in a batch of any size: the order in which sums are added up is chosen
 * without a look at the batch. The emitted kernels are run as kernel IR, in float64, which shows every other order.
 */
import { describe, expect, it } from 'vitest';
import { traceEntry, type Model } from '../../../compiler/dsl/model.ts';
import { nodesOf, sizeOf, type Graph } from '../../../compiler/ir/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { dit } from '../../../models/dit.ts';
import { autoencoderKL } from '../../../models/vae.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawBindings } from '../../models/zoo.ts';
import { gpt } from '../../models/zoo/gpt.ts';
import { mixer } from '../../models/zoo/mixer.ts';
import { unet } from '../../models/zoo/unet.ts';

const BATCHES = [1, 2, 3];
const MOST = 8;

const DEVICES: readonly DeviceSpec[] = [
  { ...PORTABLE, steady: true },
  {
    ...PORTABLE,
    name: 'hardware with subgroups',
    features: ['subgroups'],
    subgroups: { min: 32, max: 32 },
    steady: true,
  },
  bySubgroups(8),
];

const sizes = { inputSize: 8, patchSize: 2, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 5 };
const vae = autoencoderKL({ sampleSize: 4, blockOutChannels: [4, 8], layersPerBlock: 1, normNumGroups: 2 });
const MODELS: Readonly<Record<string, Model>> = {
  'dit adaLN-Zero': dit({ ...sizes, block: 'adaLN-Zero' }),
  'dit in-context': dit({ ...sizes, block: 'in-context' }),
  'dit cross-attention, 4 tokens': dit({ ...sizes, patchSize: 4, block: 'cross-attention' }),
  unet: unet({ height: 8, width: 8, channels: 8, out: 8, groups: 2 }),
  gpt: gpt({ depth: 1, d: 24, tokens: 7 }),
  mixer: mixer({ depth: 1, d: 16, tokens: 9, channelHidden: 32 }),
};

const CASES: readonly [name: string, model: Model, entry: string][] = [
  ...Object.entries(MODELS).map(([name, model]): [string, Model, string] => [name, model, 'forward']),
  ['an autoencoder, there', vae, 'encode'],
  ['an autoencoder, back', vae, 'decode'],
];

/** What the graph reads of the first `count` of `from` examples. */
function first(graph: Graph, all: Readonly<Record<string, Float64Array>>): Record<string, Float64Array> {
  const leaves = nodesOf(graph).filter(({ attrs }) => attrs.name !== undefined && String(attrs.name) in all);
  return Object.fromEntries(
    leaves.map(({ attrs, type }) => [String(attrs.name), all[String(attrs.name)].subarray(0, sizeOf(type.shape))]),
  );
}

/** The outputs of the first examples of a batch, by the kernels for a batch of each size, that are not those of the largest. */
async function differences(model: Model, device: DeviceSpec, entry = 'forward'): Promise<string[]> {
  const graphOf = (batch: number) => traceEntry(model, entry, { batch }).graph;
  const bindings = drawBindings(graphOf(MOST));
  const want = runSchedule(graphOf(MOST), bindings, { device }).outputs;
  const found: string[] = [];
  for (const batch of BATCHES) {
    // The test runner wants to hear from a long test.
    await new Promise(setImmediate);
    const graph = graphOf(batch);
    const { outputs } = runSchedule(graph, first(graph, bindings), { device });
    const differing = Object.keys(outputs).filter(
      (name) => !outputs[name].every((x, i) => Object.is(x, want[name][i])),
    );
    found.push(...differing.map((name) => `${name} at batch ${batch}`));
  }
  return found;
}

describe.each(DEVICES)('on $name', (device) => {
  it.each(CASES)('%s: an example is the same in any batch', { timeout: 300_000 }, async (_name, model, entry) => {
    expect(await differences(model, device, entry)).toEqual([]);
  });
});

it('is seen where it is not so: plans for hardware look at the number of rows, unless told to be steady', async () => {
  expect(await differences(MODELS['dit cross-attention, 4 tokens'], PORTABLE)).not.toEqual([]);
});
