/** A device that is lost under `sample` or `train` of a loaded model is opened anew, once, and what comes out is the same. */
import { beforeAll, describe, expect, it } from 'vitest';
import { compile, type CompiledModel } from '../../library/compiler.ts';
import { dit } from '../../models/dit.ts';
import { load, openGpu, type LoadOptions, type RunnableModel, type TrainOptions } from '../../runtime/node/index.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { checkCheckpoint, loadCheckpoint, writeTraining } from '../../runtime/checkpoint/training.ts';
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

  it('loses nothing that ended with a copy to a loss between calls: training, weights and places are as if there was none', async () => {
    const whole = await withModel(artefact, twice({}));
    const between = (lose: (m: RunnableModel) => Promise<void>) =>
      withModel(artefact, async (m) => {
        const stop = new AbortController();
        // Ended while the last step was measured: told so by what it measured.
        const onStep = ({ step }: { step: number }) => void (step === 20 && stop.abort());
        await m.train({ data, steps: 100, seed: 3, every: 4, keepEvery: 30, onStep, signal: stop.signal });
        await lose(m);
        return trained({ keepEvery: 30 })(m);
      });
    const lose = async (m: RunnableModel) => m.program.device.destroy();
    expect(await between(lose)).toEqual(whole);
    expect(noted()).toEqual([expect.stringContaining('training goes on from step 20')]);
    const loseAndRead = async (m: RunnableModel) => {
      const weights = await m.weights();
      await lose(m);
      expect(await m.weights()).toEqual(weights);
      await lose(m);
      const name = 'blocks.0.attn.qkv.weight';
      const read = await m.readTraining(async (program, place) => [place?.step, await program.readParam(name)]);
      expect(read).toEqual([20, (await m.param(name)).data]);
    };
    expect(await between(loseAndRead)).toEqual(whole);
    const text = expect.stringContaining('with the values that were kept');
    expect(noted()).toEqual([text, text]);
  });

  it('goes on from what is kept in a call after the one that a second loss ended', async () => {
    const whole = await withModel(artefact, trained());
    const after = async (m: RunnableModel) => {
      await expect(trained({ keepEvery: 5 }, [12, 16])(m)).rejects.toMatchObject({ code: 'device-lost' });
      expect(m.trainingPlace?.step).toBe(15);
      return trained({ steps: 5, keepEvery: 5 })(m);
    };
    const { step, weights } = await withModel(artefact, after);
    expect({ step, weights }).toEqual({ step: whole.step, weights: whole.weights });
    noted();
  });

  it('goes on once a device can be had again, where none could be opened at first', async () => {
    const whole = await withModel(artefact, twice({}));
    const refused = async (m: RunnableModel) => {
      await trained({ keepEvery: 20 })(m);
      m.program.device.destroy();
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error('the GPU process restarts'));
      try {
        await expect(m.weights()).rejects.toThrow('the GPU process restarts');
        await expect(m.train({ data, steps: 1 })).rejects.toThrow('the GPU process restarts');
      } finally {
        GPUAdapter.prototype.requestDevice = requestDevice;
      }
      return trained({ keepEvery: 20 })(m);
    };
    expect(await withModel(artefact, refused)).toEqual(whole);
    noted();
  });

  /** Where a training is, as the file that a page saves. */
  async function saved(m: RunnableModel): Promise<TensorFile> {
    const parts: Uint8Array[] = [];
    await m.readTraining((program) => writeTraining(async (part) => void parts.push(part.slice()), program, {}));
    const bytes = Buffer.concat(parts);
    const read = async (at: number, length: number) => Uint8Array.from(bytes.subarray(at, at + length));
    return openSafetensors({ name: 'saved', size: bytes.length, read, close: async () => {} });
  }
  /** The file, with something done when its third tensor is read. */
  const meddled = (file: TensorFile, work: () => void): TensorFile => {
    let reads = 0;
    const readF32Chunks = (name: string) => {
      if (++reads === 3) work();
      return file.readF32Chunks(name);
    };
    return Object.create(file, { readF32Chunks: { value: readF32Chunks } }) as TensorFile;
  };

  it('takes a checkpoint as a whole or not at all, whatever is lost or fails meanwhile', async () => {
    await withModel(artefact, async (m) => {
      await m.train({ data, steps: 3 });
      const [file, place, first] = [await saved(m), m.trainingPlace!, await m.weights()];
      const opened = (from: TensorFile) => m.resumeTraining(place, (program) => loadCheckpoint(program, from));
      await m.train({ data, steps: 3 });
      const ahead = [await m.weights(), m.trainingPlace];

      const integers = new Map([...file.tensors].map(([name, info]) => [name, { ...info, dtype: 'i32' as const }]));
      const other = Object.create(file, { tensors: { value: integers } }) as TensorFile;
      expect(() => checkCheckpoint(m.program, other)).toThrow(/is i32, not f32/);
      const ends = () => {
        throw new Error('the file ends');
      };
      await expect(opened(meddled(file, ends))).rejects.toThrow('the file ends');
      expect([await m.weights(), m.trainingPlace]).toEqual(ahead);

      await opened(meddled(file, () => m.program.device.destroy()));
      expect([await m.weights(), m.trainingPlace]).toEqual([first, place]);

      // What nobody kept is lost: a checkpoint is opened all the same.
      await m.train({ data, steps: 3 });
      m.program.device.destroy();
      await opened(file);
      expect([await m.weights(), m.trainingPlace]).toEqual([first, place]);
    });
    noted();
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
