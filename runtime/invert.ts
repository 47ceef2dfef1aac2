/** The loop from pictures to their noise over a compiled model: it knows the two entries' signature (models/inversion.ts) alone. */
import { checkGiven, writeGiven, type Given } from './conditions.ts';
import type { Program } from './program.ts';
import { loopInputs, sampleShape, writeLabels, type Samples } from './sample.ts';

/** What a model must have for its pictures to be led to noise. */
export const INVERSION_ENTRIES = ['invertStart', 'invertStep'] as const;

export interface InvertJob {
  /** Of each picture. */
  readonly classes: readonly number[];
  /** Strength of the guidance; without effect in a step built without it. */
  readonly cfg: number;
  readonly given: Given;
  /** The values of `count` pictures from `first` on. */
  pictures(first: number, count: number): Promise<Float32Array>;
  /** Called after each step has been submitted. */
  readonly onStep?: (done: number, total: number) => void;
}

/** The noise of all pictures, a batch at a time. */
export async function* invertPictures(program: Program, job: InvertJob): AsyncGenerator<Samples> {
  const { classes, cfg, given, pictures, onStep } = job;
  const inputs = loopInputs(program, 'invertStep');
  checkGiven(inputs, given, classes.length);
  const [batch, ...image] = sampleShape(program.states);
  const size = image.reduce((a, b) => a * b);
  const steps = program.states.find(({ name }) => name === 'step')!.count!;
  const batches = Math.ceil(classes.length / batch);
  program.write('cfgScale', Float32Array.of(cfg));
  for (let b = 0; b < batches; b++) {
    const first = b * batch;
    const labels = classes.slice(first, first + batch);
    const images = new Float32Array(batch * size);
    images.set(await pictures(first, labels.length));
    program.write('images', images);
    writeLabels(program, labels, batch);
    writeGiven(program, inputs, given, first);
    await program.run('invertStart');
    for (let i = 0; i < steps; i++) {
      await program.run('invertStep');
      if (b + i === 0) await program.sync();
      onStep?.(b * steps + i + 1, batches * steps);
    }
    const values = (await program.readState('x')) as Float32Array;
    yield { first, shape: [labels.length, ...image], values: values.subarray(0, labels.length * size) };
  }
}
