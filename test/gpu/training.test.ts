/** The compiled training step: gradients and updates against PyTorch, bits that repeat, batches that add up. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { dit, type DiTConfig } from '../../models/dit.ts';
import { Program } from '../../runtime/program.ts';
import { type Values } from '../../runtime/transfer.ts';
import { initialise } from '../../runtime/weights.ts';
import { TestGpu, typed } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden, type Golden } from '../models/golden.ts';
import { trainCase } from '../models/train-case.ts';
import { PASS } from '../helpers/tolerances.ts';

/** A software GPU compiles a hundred kernels for each of these. */
vi.setConfig({ testTimeout: 600_000 });

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

/** Each case compiles some 150 kernels, a minute on a software GPU: the gate runs one of a kind, `DITC_SLOW=1 npm test` all. */
const slow = Boolean(process.env.DITC_SLOW);
const oneOf = (prefix: string, stem: string) => goldenCases(prefix).filter((name) => slow || name === stem);

describe('the compiled gradients of all weights equal PyTorch', () => {
  it.each([...oneOf('train-', 'train-adaLN-Zero'), ...oneOf('flow-train-', 'flow-train-velocity-cosine-sigma')])(
    '%s',
    async (stem) => {
      const { model, batch, bindings, check } = await trainCase(stem);
      const options = {
        name: stem,
        source: 'models/dit.ts',
        device: gpu.spec,
        verify: true,
        entryOptions: { batch, gradNorm: 1 },
      };
      const artefact = compileModel(model, { ...options, entries: ['trainStepGiven'] });
      const { outputs, updates } = await gpu.run(artefact, 'trainStepGiven', bindings);
      check(outputs, updates, PASS);
    },
  );
});

type TrainEntry = 'trainStep' | 'trainStepGiven';

/** A model on the device, its weights set and its training started; closed when `use` is done. */
async function training<T>(
  config: Partial<DiTConfig>,
  entry: TrainEntry,
  entryOptions: { readonly batch: number; readonly [option: string]: unknown },
  use: (program: Program) => Promise<T>,
  { params, memory }: { params?: Golden['values']; memory?: number } = {},
): Promise<T> {
  const entries = ['trainStart', entry];
  const options = {
    ...{ name: 'training', source: 'models/dit.ts', device: gpu.spec, verify: true, entryOptions, entries },
    memory,
  };
  const artefact = compileModel(dit(config), options);
  const program = await Program.create(gpu.opened.device, artefact);
  try {
    await initialise(program, artefact, 7);
    for (const { name } of params ? artefact.manifest.params : [])
      await program.setParam(name, typed('f32', params![`param.${name}`]));
    await program.run('trainStart');
    return await use(program);
  } finally {
    program.close();
  }
}

describe('twenty steps follow PyTorch’s AdamW, and the average of the weights', () => {
  /** Rounding grows from step to step. */
  const DRIFT = 1e-3;

  it.each(oneOf('adamw-', 'adamw-recipe'))('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const { model, options } = config as { model: Partial<DiTConfig>; options: Record<string, number> };
    const [steps, batch] = shapes['input.t'];
    const at = (name: string, step: number) => {
      const size = values[`input.${name}`].length / steps;
      return Array.from(values[`input.${name}`]).slice(step * size, (step + 1) * size);
    };
    const follow = async (program: Program): Promise<void> => {
      const read = async (name: string) => (await program.readOutput('trainStepGiven', name))[0];
      for (let step = 0; step < steps; step++) {
        for (const name of ['images', 'noise']) program.write(name, typed('f32', at(name, step)));
        for (const name of ['t', 'labels', 'drop']) program.write(name, typed('i32', at(name, step)));
        await program.run('trainStepGiven');
        expect(relativeError([await read('loss')], [values['output.loss'][step]]), `step ${step}`).toBeLessThan(DRIFT);
        expect(relativeError([await read('gradNorm')], [values['output.gradNorm'][step]])).toBeLessThan(DRIFT);
      }
      expect(Array.from(await program.readState('optimizer.step'))).toEqual([steps]);
      for (const { name } of program.manifest.params) {
        const [weight, average] = [await program.readParam(name), await program.readState(`ema.${name}`)];
        // What is not trained does not move, and neither does its average.
        const wanted = values[`output.param.${name}`] ?? values[`param.${name}`];
        expect(relativeError(weight, wanted), name).toBeLessThan(DRIFT);
        expect(relativeError(average, values[`output.ema.${name}`]), `ema.${name}`).toBeLessThan(DRIFT);
      }
    };
    await training(model, 'trainStepGiven', { ...options, batch, gradNorm: 1 }, follow, { params: values });
  });
});

describe('trainStep', () => {
  const TINY: Partial<DiTConfig> = { inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3, mlpRatio: 2 };
  const images = Float32Array.from({ length: 8 * 64 }, (_, i) => Math.sin(i * i));
  const labels = Int32Array.from({ length: 8 }, (_, i) => i % 3);

  /** Weights, moments, average and outputs after `steps` updates on 8 images in batches of `batch`. */
  const trained = (seed: number, batch: number, steps: number, options: Record<string, unknown> = {}) =>
    training(TINY, 'trainStep', { lr: 1e-2, ...options, batch }, async (program) => {
      program.write('seed', Uint32Array.of(seed, 0));
      for (let run = 0; run < (steps * 8) / batch; run++) {
        const first = (run * batch) % 8;
        program.write('images', images.subarray(first * 64, (first + batch) * 64));
        program.write('labels', labels.subarray(first, first + batch));
        await program.run('trainStep');
      }
      const found: Record<string, Values> = { loss: await program.readOutput('trainStep', 'loss') };
      for (const { name } of program.manifest.params) found[name] = await program.readParam(name);
      for (const { name } of program.states) found[name] = await program.readState(name);
      return found;
    });

  it('gives the same bits for the same seed, and others for another', async () => {
    const [a, b, other] = [await trained(5, 8, 3), await trained(5, 8, 3), await trained(6, 8, 3)];
    expect(a).toEqual(b);
    const [weight, moved] = [a, other].map((found) => found['final_layer.linear.weight']);
    expect(weight.some((w) => w !== 0)).toBe(true);
    expect(relativeError(moved, weight)).toBeGreaterThan(1e-3);
  });

  it.runIf(slow)('is the same step where memory is short and values are computed again', async () => {
    const config = { ...TINY, inputSize: 8, hiddenSize: 16, depth: 4 };
    const step = async (program: Program) => {
      program.write('seed', Uint32Array.of(3, 0));
      program.write(
        'images',
        Float32Array.from({ length: 8 * 4 * 64 }, (_, i) => Math.sin(i * i)),
      );
      program.write('labels', labels);
      await program.run('trainStep');
      const { memory, dispatches } = program.manifest.entries.trainStep;
      const [{ name }] = program.manifest.params;
      // Room to stage copies is beside what a budget counts.
      return {
        memory,
        dispatches,
        weight: await program.readParam(name),
        held: program.memory.total - program.memory.temporaries,
      };
    };
    const whole = await training(config, 'trainStep', { batch: 8, lr: 1e-2 }, step);
    const budget = whole.held - Math.floor(whole.memory.activationPeakBytes / 4);
    // Tensors as small as these are padded by as much as they take; the plan does not count that (library/memory.ts does).
    const { weightBytes, stateBytes, activationPeakBytes } = whole.memory;
    const padding = whole.held - weightBytes - stateBytes - activationPeakBytes;
    const memory = budget - padding;
    const less = await training(config, 'trainStep', { batch: 8, lr: 1e-2 }, step, { memory });
    expect(less.memory.recomputedMacs).toBeGreaterThan(0);
    expect(less.held).toBeLessThanOrEqual(budget);
    // Adam divides small moments by smaller ones: what is rounding in a gradient shows in the weight.
    expect(relativeError(less.weight, whole.weight)).toBeLessThan(1e-3);
  });

  it.runIf(slow)('sums the gradients of small batches into the update of a large one', async () => {
    const [whole, parts] = [await trained(5, 8, 3), await trained(5, 4, 3, { accumulate: 2 })];
    expect(Array.from(parts['optimizer.step'])).toEqual([3]);
    for (const [name, values] of Object.entries(whole)) {
      // The loss is that of the last batch.
      if (name === 'optimizer.step' || name === 'loss') continue;
      // Adam divides small moments by smaller ones: what is rounding in a gradient shows in the weight.
      expect(relativeError(parts[name], values), name).toBeLessThan(1e-3);
    }
  });
});
