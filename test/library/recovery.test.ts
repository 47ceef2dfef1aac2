/** A device that is lost under `sample` or `train` of a loaded model is opened anew, once, and what comes out is the same. */
import { beforeAll, describe, expect, it } from 'vitest';
import { compile, type CompiledModel } from '../../library/compiler.ts';
import { dit } from '../../models/dit.ts';
import { load, openGpu, type LoadOptions, type RunnableModel, type TrainOptions } from '../../runtime/node/index.ts';
import { losing } from '../helpers/losing.ts';

const config = { inputSize: 4, patchSize: 2, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 3 };
const images = Float32Array.from({ length: 6 * 16 }, (_, i) => Math.sin(i));
const data = { images, labels: [0, 1, 2, 0, 1, 2] };

const notes: string[] = [];
const onNote = (note: string) => void notes.push(note);
const noted = () => notes.splice(0).filter((note) => note.includes('opened anew'));

async function withModel<T>(
  artefact: CompiledModel,
  work: (m: RunnableModel) => Promise<T>,
  options: LoadOptions = {},
) {
  await using m = await load(artefact, { seed: 5, onNote, ...options });
  return await work(m);
}

describe('train', () => {
  let artefact: CompiledModel;
  beforeAll(async () => {
    const entries = ['trainStart', 'trainStep'];
    artefact = await compile(dit(config), { entries, batch: 2, device: 'here', name: 'net', options: { lr: 1e-2 } });
  });
  /** Has the device lost once the steps `at` have been told, one after the other. */
  const trained =
    (options: Partial<TrainOptions> = {}, at: readonly number[] = []) =>
    async (m: RunnableModel) => {
      const [told, left]: [number[], number[]] = [[], [...at]];
      const onStep = ({ step }: { step: number }) => {
        told.push(step);
        if (step !== left[0]) return;
        left.shift();
        m.program.device.destroy();
      };
      const { step, last } = await m.train({ data, steps: 20, seed: 3, every: 4, onStep, ...options });
      return { step, last, told, weights: await m.weights() };
    };
  const twice =
    (options: Partial<TrainOptions>, at: readonly number[] = []) =>
    async (m: RunnableModel) => {
      await trained(options)(m);
      return trained(options, at)(m);
    };

  it('goes on from the last step that was kept, to the same weights and figures', async () => {
    const whole = await withModel(artefact, trained());
    expect(await withModel(artefact, trained({ keepEvery: 5 }, [12]))).toEqual(whole);
    expect(noted()).toEqual([
      'the device was lost (device was destroyed): it is opened anew, and training goes on from step 10, the last that was kept',
    ]);
  });

  it('begins anew where none was kept', async () => {
    const whole = await withModel(artefact, trained());
    expect(await withModel(artefact, trained({}, [12]))).toEqual(whole);
    expect(noted()).toEqual([expect.stringMatching(/: it is opened anew, and training begins anew$/)]);
  });

  it('in a later call too, from where that began', async () => {
    const whole = await withModel(artefact, twice({}));
    expect(whole.step).toBe(40);
    expect(await withModel(artefact, twice({ keepEvery: 30 }, [28]))).toEqual(whole);
    expect(noted()).toEqual([expect.stringContaining('training goes on from step 20')]);
    // What nobody kept is gone with its device.
    await expect(withModel(artefact, twice({}, [28]))).rejects.toMatchObject({ code: 'device-lost' });
  });

  it('ends with the second loss, and with the first of a device that is the caller’s', async () => {
    await expect(withModel(artefact, trained({}, [12, 16]))).rejects.toMatchObject({ code: 'device-lost' });
    expect(noted()).toHaveLength(1);
    const device = await openGpu();
    try {
      await expect(withModel(artefact, trained({}, [12]), { device })).rejects.toMatchObject({ code: 'device-lost' });
      expect(noted()).toEqual([]);
    } finally {
      device.close();
    }
  });
});

describe('sample', () => {
  it('goes on from the first picture that is not there, to the same pictures', async () => {
    const entries = ['sampleStart', 'sampleStep'];
    const artefact = await compile(dit(config), { entries, batch: 2, device: 'here', options: { steps: 3 } });
    const drawn = (m: RunnableModel) => m.sample({ classes: [0, 1, 2, 0, 1], seed: 2 });
    const whole = await withModel(artefact, drawn);
    expect(await losing([9], () => withModel(artefact, drawn))).toEqual(whole);
    expect(noted()).toEqual([
      expect.stringMatching(/and sampling goes on from picture [24], the first that is not there$/),
    ]);
    const twice = async (m: RunnableModel) => {
      await drawn(m);
      return drawn(m);
    };
    expect(await losing([16], () => withModel(artefact, twice))).toEqual(whole);
    expect(noted()).toHaveLength(1);
  });
});
