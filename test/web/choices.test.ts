/**
 * What a page's visitor chooses is what a build for it would draw: steps, sampler; and each step shows what it expects.
 * @once
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { load } from '../../runtime/node/index.ts';
import { network, portable, weights } from './fixture.ts';

const SAMPLERS = ['euler', 'heun'];
const withSamplers = { ...portable, manifest: { ...portable.manifest, samplers: SAMPLERS } };
const CLASSES = [0, 1, 2, 1, 0];
const DRAWING = Object.keys(portable.manifest.entries).filter((name) => /^sample(Start|Step)(_\w+)?$/.test(name));

describe('a model whose steps and sampler are chosen as it runs', () => {
  let model: Awaited<ReturnType<typeof load>>;
  beforeAll(async () => void (model = await load(withSamplers, { weights, entries: DRAWING })));
  afterAll(() => model.dispose());

  async function builtFor(steps: number, sampler: string) {
    const entryOptions = { ...network.options, batch: 4, steps, sampler };
    const entries = ['sampleStart', 'sampleStep'];
    const artefact = compileModel(network, {
      name: 'one',
      source: 'one.ts',
      device: PORTABLE,
      dtype: 'f32',
      entries,
      entryOptions,
    });
    const one = await load(artefact, { weights });
    const drawn = await one.sample({ classes: CLASSES, seed: 5 });
    await one.dispose();
    return drawn;
  }

  it.each([
    [8, 'euler'],
    [1, 'heun'],
  ])('draws in %i steps by %s what a build for them draws', async (steps, sampler) => {
    const told: number[][] = [];
    const onStep = (done: number, total: number) => void told.push([done, total]);
    const chosen = await model.sample({ classes: CLASSES, seed: 5, steps, sampler, onStep });
    const expected = await builtFor(steps, sampler);
    expect(chosen.shape).toEqual(expected.shape);
    chosen.data.forEach((value, i) => expect(Math.abs(value - expected.data[i])).toBeLessThan(1e-5));
    expect(told.at(-1)).toEqual([2 * steps, 2 * steps]);
  });

  it('takes the model’s own steps and sampler unless told', async () => {
    const [plain, told] = [{}, { steps: 4, sampler: 'euler' }].map((choice) =>
      model.sample({ classes: CLASSES, seed: 5, ...choice }),
    );
    expect((await plain).data).toEqual((await told).data);
  });

  it('shows at each step what the pictures are expected to become: at the last, what they are', async () => {
    const looks: Promise<{ first: number; shape: readonly number[]; data: Float32Array }>[] = [];
    const drawn = await model.sample({
      classes: CLASSES,
      seed: 5,
      onStep: (...[, , look]) => void looks.push(look!()),
    });
    const seen = await Promise.all(looks);
    expect(seen.map(({ first, shape }) => [first, shape[0]])).toEqual([
      ...Array(4).fill([0, 4]),
      ...Array(4).fill([4, 1]),
    ]);
    expect(seen[3].data).toEqual(drawn.data.subarray(0, 4 * 64));
    expect(seen[7].data).toEqual(drawn.data.subarray(4 * 64));
    expect(seen[0].data).not.toEqual(seen[3].data);
  });

  it('refuses steps and samplers that it was not built for, and says for which it was', async () => {
    await expect(model.sample({ classes: [0], steps: 9 })).rejects.toThrow(/steps is 9.*steps 1 to 8/s);
    await expect(model.sample({ classes: [0], steps: 0 })).rejects.toThrow(/steps is 0/);
    await expect(model.sample({ classes: [0], sampler: 'ddim' })).rejects.toThrow(/euler, heun/);
  });
});
