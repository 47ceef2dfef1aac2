/** `sample` of a loaded model: what its entries draw in turn. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile } from '../../library/compiler.ts';
import { dit } from '../../models/dit.ts';
import { load, openGpu, type OpenDevice, type RunnableModel, type SampleOptions } from '../../runtime/node/index.ts';

const network = dit({
  inputSize: 8,
  patchSize: 4,
  inChannels: 1,
  hiddenSize: 16,
  depth: 1,
  numHeads: 2,
  numClasses: 5,
});

let device: OpenDevice;
beforeAll(async () => void (device = await openGpu()));
afterAll(() => device.close());

describe('a model that samples', () => {
  const inputs = { y: [3, 1], seed: [7, 0], first: 0, cfgScale: 4 };
  let m: RunnableModel;
  beforeAll(async () => {
    const artefact = await compile(network, { batch: 2, device: device.spec, options: { steps: 3 }, name: 'small' });
    m = await load(artefact, { device });
  });
  afterAll(() => m.dispose());

  it('refuses a step that nothing has begun', async () => {
    const message =
      /sampleStep goes on from state that nothing has begun: x, step: sampleStart gives it .* run sampleStart/;
    await expect(m.run('sampleStep', inputs)).rejects.toThrow(message);
  });

  it('draws what its entries draw in turn, the last batch filled up', async () => {
    const steps: number[][] = [];
    const all = await m.sample({
      classes: [3, 1, 2],
      seed: 7,
      onStep: (...[done, total]) => void steps.push([done, total]),
    });
    expect(all).toMatchObject({ shape: [3, 1, 8, 8], dtype: 'f32' });
    expect(steps).toEqual([1, 2, 3, 4, 5, 6].map((step) => [step, 6]));
    await m.run('sampleStart', { seed: inputs.seed, first: 0 });
    for (let i = 0; i < 3; i++) await m.run('sampleStep', inputs);
    expect((await m.state('x')).data).toEqual(all.data.subarray(0, 128));
    expect((await m.state('step')).data).toEqual(Int32Array.of(-1));
  });

  it('ends where the signal says so, and can be asked again', async () => {
    const controller = new AbortController();
    const onStep = (done: number) => done === 2 && controller.abort(new Error('enough'));
    await expect(m.sample({ classes: [1], onStep, signal: controller.signal })).rejects.toThrow('enough');
    expect((await m.sample({ classes: Int32Array.of(1) })).shape).toEqual([1, 1, 8, 8]);
  });

  it.each([
    [{ classes: [] }, /classes is not a list of classes/],
    [{ classes: [1.5] }, /classes is not a list of classes/],
    [{ classes: [1, 6] }, /element \[1\] of classes is 6: .* the model has 5; give 0 to 4/],
    [{ classes: [5, 1] }, /element \[0\] of classes is 5: .* give 0 to 4/],
    [{ classes: [1, NaN] }, /classes is not a list of classes/],
    [{ classes: [-1] }, /classes is not a list of classes/],
    [{ classes: [1], seed: -1 }, /seed is -1/],
    [{ classes: [1], cfg: NaN }, /cfg is NaN/],
    [{ classes: [1], sede: 1 }, /sample: there is no option "sede": .*; did you mean seed\?/],
    [undefined, /sample: it was not given an object of options: .*; give sample \{ … \}/],
    [{ classes: [1], steps: 50 }, /steps is 50: small was built with steps 3; compile it with options \{ steps: … \}/],
    [{ classes: [1], sampler: 'ddim' }, /sampler is ddim: small was built with sampler ddpm/],
  ])('refuses %j', async (options, message) => {
    await expect(m.sample(options as SampleOptions)).rejects.toThrow(message);
  });

  it('takes the null class in its network alone, where guidance is computed by hand', async () => {
    const artefact = await compile(network, { batch: 2, device: device.spec, options: { steps: 3 } });
    await using whole = await load(artefact, { device });
    const [x, t] = [new Float32Array(128), [0, 0]];
    expect((await whole.run('forward', { x, t, y: [5, 4] })).out.shape).toEqual([2, 2, 8, 8]);
    await expect(whole.run('forward', { x, t, y: [6, 4] })).rejects.toThrow(
      /is 6: it chooses a row .* 0 to 5 are there/,
    );
    await whole.run('sampleStart', { seed: [7, 0], first: 0 });
    await expect(whole.run('sampleStep', { ...inputs, y: [5, 4] })).rejects.toThrow(
      /element \[0\] of y is 5: .* give 0 to 4/,
    );
    await expect(whole.run('sampleStep', { ...inputs, y: [0.5, 4] })).rejects.toThrow(/element 0 is 0.5/);
    await whole.run('sampleStep', inputs);
  });

  it('needs its entries', async () => {
    const forward = await load(await compile(network, { entries: ['forward'], name: 'small' }), { device });
    await expect(forward.sample({ classes: [1] })).rejects.toThrow(
      /no entry sampleStart and sampleStep; build it with/,
    );
    await forward.dispose();
  });
});
