/** `train` of a loaded model: what its entries do in turn, on examples in memory. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compile, type CompiledModel } from '../../library/compiler.ts';
import { dit } from '../../models/dit.ts';
import { givenDataset } from '../../runtime/data/given.ts';
import { epochOrder } from '../../runtime/data/order.ts';
import { load, openGpu, type OpenDevice, type RunnableModel, type TrainOptions } from '../../runtime/node/index.ts';

const network = dit({
  inputSize: 4,
  patchSize: 2,
  inChannels: 1,
  hiddenSize: 16,
  depth: 1,
  numHeads: 2,
  numClasses: 3,
});
const [BATCH, COUNT, SIZE] = [2, 6, 16];
const images = Float32Array.from({ length: COUNT * SIZE }, (_, i) => Math.sin(i));
const labels = [0, 1, 2, 0, 1, 2];

let device: OpenDevice;
let artefact: CompiledModel;
beforeAll(async () => {
  device = await openGpu();
  const entries = ['trainStart', 'trainStep'];
  artefact = await compile(network, { entries, batch: BATCH, device: device.spec, name: 'net', options: { lr: 1e-2 } });
});
afterAll(() => device.close());

async function withModel<T>(work: (m: RunnableModel) => Promise<T>): Promise<T> {
  await using m = await load(artefact, { device, seed: 5 });
  // Awaited here: what is returned waits for nothing, and the model is gone.
  return await work(m);
}
const weightsOf = async (m: RunnableModel) =>
  Object.fromEntries(Object.entries(await m.weights()).map(([name, { data }]) => [name, data]));

it('a step is what trainStep makes of the next examples, in the order of the seed', async () => {
  const trained = await withModel(async (m) => {
    const { step, last } = await m.train({ data: { images, labels }, steps: 4, seed: 3 });
    return { step, loss: last!.loss, weights: await weightsOf(m) };
  });
  const byHand = await withModel(async (m) => {
    await m.run('trainStart', {});
    const order = [...epochOrder(3, 0, COUNT), ...epochOrder(3, 1, COUNT)];
    let loss = 0;
    for (let step = 0; step < 4; step++) {
      const examples = order.slice(step * BATCH, (step + 1) * BATCH);
      const batch = Float32Array.from(examples.flatMap((i) => [...images.subarray(i * SIZE, (i + 1) * SIZE)]));
      const of = { images: batch, labels: examples.map((i) => labels[i]), seed: [3, 0] };
      loss = (await m.run('trainStep', of)).loss.data[0];
    }
    return { step: 4, loss, weights: await weightsOf(m) };
  });
  expect(trained).toEqual(byHand);
});

it('a later call goes on where the one before ended', async () => {
  const data = { images, labels };
  const inParts = await withModel(async (m) => {
    await m.train({ data, steps: 1 });
    const { step } = await m.train({ data, steps: 4 });
    return [step, await weightsOf(m)];
  });
  const atOnce = await withModel(async (m) => [(await m.train({ data, steps: 5 })).step, await weightsOf(m)]);
  expect(inParts).toEqual(atOnce);
});

it('what is measured is told every so many steps, and at the end', async () => {
  const told: number[] = [];
  const result = await withModel((m) =>
    m.train({ data: { images, labels }, steps: 5, every: 2, onStep: ({ step }) => void told.push(step) }),
  );
  expect(told).toEqual([2, 4, 5]);
  expect(result.last).toMatchObject({
    step: 5,
    loss: expect.any(Number),
    mse: expect.any(Number),
    lr: expect.any(Number),
  });
});

it('a signal ends it after the step under way', async () => {
  const controller = new AbortController();
  const onStep = ({ step }: { step: number }) => step === 2 && controller.abort();
  const data = { images, labels };
  const { step } = await withModel((m) => m.train({ data, steps: 100, onStep, signal: controller.signal }));
  expect(step).toBe(2);
});

it('goes on where it came to, also after a callback that threw', async () => {
  const data = { images, labels };
  const stopAt2 = ({ step }: { step: number }) => {
    if (step === 2) throw new Error('enough');
  };
  const inParts = await withModel(async (m) => {
    await expect(m.train({ data, steps: 5, onStep: stopAt2 })).rejects.toThrow('enough');
    return [(await m.train({ data, steps: 1 })).step, await weightsOf(m)];
  });
  const atOnce = await withModel(async (m) => [(await m.train({ data, steps: 3 })).step, await weightsOf(m)]);
  expect(inParts).toEqual(atOnce);
});

it('that overflows however little the loss is scaled by has failed', async ({ skip }) => {
  if (!device.spec.features.includes('shader-f16')) skip('this adapter has no f16');
  const entries = ['trainStart', 'trainStep'];
  const half = await compile(network, { entries, batch: BATCH, device: device.spec, dtype: 'f16' });
  await using m = await load(half, { device, seed: 5 });
  const data = { images, labels };
  const { name, shape } = m.manifest.params[0];
  await m.setParam(name, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(NaN));
  const skipped = await m.train({ data, steps: 3 });
  expect(skipped.last).toMatchObject({ skipped: 3, loss: NaN });
  await expect(m.train({ data, steps: 60, every: 60 })).rejects.toMatchObject({
    code: 'not-finite',
    what: 'training went astray by step 63',
    why: 'the loss is NaN; 63 steps were left out, whatever the loss was scaled by',
  });
});

it('its weights are those that a sampler of the model draws with', async () => {
  const weights = await withModel(async (m) => {
    await m.train({ data: { images, labels }, steps: 2 });
    return m.weights();
  });
  const sampler = await compile(network, { batch: 1, device: device.spec, options: { steps: 2 } });
  await using m = await load(sampler, { device, weights, entries: ['sampleStart', 'sampleStep'] });
  expect((await m.sample({ classes: [1] })).shape).toEqual([1, 1, 4, 4]);
});

it.each<[string, TrainOptions, RegExp]>([
  [
    'half an example',
    { data: { images: images.subarray(1), labels }, steps: 1 },
    /images are no whole examples: an example is \[1, 4, 4\]/,
  ],
  ['labels for some', { data: { images, labels: [0, 1] }, steps: 1 }, /there are 2 labels: images holds 6 examples/],
  ['a label of no class', { data: { images, labels: [0, 1, 2, 0, 1, 9] }, steps: 1 }, /the label of example 5 is 9/],
  [
    'the null class for a label',
    { data: { images, labels: [0, 1, 2, 0, 1, 3] }, steps: 1 },
    /the label of example 5 is 3: the model has 3 classes; .* number the classes from 0 to 2/,
  ],
  ['a negative label', { data: { images, labels: [0, 1, 2, 0, -1, 2] }, steps: 1 }, /the label of example 4 is -1/],
  [
    'half a label',
    { data: { images, labels: [0, 1.5, 2, 0, 1, 2] }, steps: 1 },
    /the label of example 1 is 1.5: labels are/,
  ],
  [
    'a label that is NaN',
    { data: { images, labels: [NaN, 1, 2, 0, 1, 2] }, steps: 1 },
    /the label of example 0 is NaN/,
  ],
  [
    'a label in text',
    { data: { images, labels: [0, '1', 2, 0, 1, 2] as number[] }, steps: 1 },
    /the label of example 1 is a string/,
  ],
  [
    'a label past 32 bits',
    { data: { images, labels: [0, 2 ** 32, 2, 0, 1, 2] }, steps: 1 },
    /the label of example 1 is 4294967296/,
  ],
  [
    'labels that are no list',
    { data: { images, labels: 1 as never }, steps: 1 },
    /labels is 1: images holds 6 examples; give one for each/,
  ],
  [
    'a key of the data that is none',
    { data: { images, lables: labels }, steps: 1 } as TrainOptions,
    /data: there is no key "lables": its keys are images, labels, inputs; did you mean labels\?/,
  ],
  [
    'opened data with labels of no class',
    { data: { ...givenDataset({ images, labels: [0, 1, 2, 0, 1, 3] }, [1, 4, 4]) }, steps: 1 },
    /the label of example 5 is 3: the model has 3 classes/,
  ],
  ['fewer than no steps', { data: { images, labels }, steps: -1 }, /steps is -1/],
  ['no data', { steps: 1 } as TrainOptions, /train has no data; give data: \{ images, labels \}/],
  ['images without labels', { data: { images }, steps: 1 }, /the images have no labels, and the model learns classes/],
  [
    'an image that is not finite',
    { data: { images: images.map((x, i) => (i === 2 * SIZE + 3 ? NaN : x)), labels }, steps: 1 },
    /images: example 2 is not finite: its value 3 is NaN/,
  ],
  [
    'an option that is none',
    { data: { images, labels }, steps: 1, stesp: 2 } as TrainOptions,
    /train: there is no option "stesp": .*; did you mean steps\?/,
  ],
  ['looks at no steps', { data: { images, labels }, steps: 1, every: 0 }, /every is 0/],
])('refuses %s', async (_, options, message) => {
  await expect(withModel((m) => m.train(options))).rejects.toThrow(message);
});

it('needs its entries', async () => {
  await using m = await load(await compile(network, { entries: ['forward'], name: 'net' }), { device });
  const message = /net: it has no entry trainStart and trainStep; build it with --entry trainStart --entry trainStep/;
  await expect(m.train({ data: { images, labels }, steps: 1 })).rejects.toThrow(message);
  const entries = ['forward', 'sampleStart', 'sampleStep', 'trainStart', 'trainStep'];
  const whole = await compile(network, { entries, device: device.spec, name: 'net' });
  await using part = await load(whole, { device, entries: ['forward'] });
  await expect(part.train({ data: { images, labels }, steps: 1 })).rejects.toThrow(
    'net: it was loaded without trainStart and trainStep; load it with entries: trainStart, trainStep',
  );
  await expect(part.sample({ classes: [1] })).rejects.toThrow('it was loaded without sampleStart and sampleStep');
});
