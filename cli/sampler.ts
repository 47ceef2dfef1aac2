/**
 * The sampling loop over a compiled model: batches of a list of classes, all reverse steps of each on the device. It knows
 * the two entries' signature (models/diffusion.ts) and nothing of the model.
 */
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/error.ts';
import type { Program } from '../runtime/program.ts';

/** What a model must have to be sampled. */
export const SAMPLING_ENTRIES = ['sampleStart', 'sampleStep'] as const;

export interface SampleJob {
  readonly classes: readonly number[];
  readonly seed: number;
  /** Strength of the guidance; without effect in a step built without it. */
  readonly cfg: number;
  /** Called after each step has been submitted. */
  readonly onStep: (done: number, total: number) => void;
}

export interface Samples {
  /** Index of the first picture. */
  readonly first: number;
  /** [n, C, I, I] */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Throws unless the model can be sampled. */
export function checkSampler(entries: readonly string[], source: string): void {
  const missing = SAMPLING_ENTRIES.filter((name) => !entries.includes(name));
  if (!missing.length) return;
  const fix = 'make the model with dit({ … }), or add samplingEntries of ditc/models/diffusion to its entries';
  throw new DitcError({ code: 'entry', where: source, what: `it has no entry ${missing.join(' and ')}`, fix });
}

/** The shape [N,C,I,I] of the state that becomes the samples. */
export function sampleShape(states: readonly TensorSpec[]): readonly number[] {
  const x = states.find(({ name }) => name === 'x');
  if (x && x.shape.length === 4 && x.dtype === 'f32') return x.shape;
  const what = 'the sampling entries keep no state x f32[N,C,I,I]';
  throw new DitcError({ code: 'entry', what, fix: 'see samplingEntries in models/diffusion.ts' });
}

/** Samples all classes, a batch at a time. Pictures depend on the seed and their place in the list, not on the batch. */
export async function* sample(program: Program, job: SampleJob): AsyncGenerator<Samples> {
  const { classes, seed, cfg, onStep } = job;
  const [batch, ...image] = sampleShape(program.states);
  const size = image.reduce((a, b) => a * b);
  const batches = Math.ceil(classes.length / batch);
  program.write('seed', Uint32Array.of(seed, Math.floor(seed / 2 ** 32)));
  program.write('cfgScale', Float32Array.of(cfg));
  for (let b = 0; b < batches; b++) {
    const first = b * batch;
    const labels = classes.slice(first, first + batch);
    program.write('first', Uint32Array.of(first));
    // The last batch is filled up with class 0; those pictures are dropped.
    program.write(
      'y',
      Int32Array.from({ length: batch }, (_, i) => labels[i] ?? 0),
    );
    await program.run('sampleStart');
    const [last] = await program.readState('step');
    const steps = last + 1;
    for (let i = 0; i < steps; i++) {
      await program.run('sampleStep');
      // Runs are queued ahead; the first one is waited for, so that the time it takes to compile kernels is told apart.
      if (b + i === 0) await program.sync();
      onStep(b * steps + i + 1, batches * steps);
    }
    const values = (await program.readState('x')) as Float32Array;
    yield { first, shape: [labels.length, ...image], values: values.subarray(0, labels.length * size) };
  }
}
