/** The folder a training writes: metrics, a page of them, samples, checkpoints and at last the weights. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { DType } from '../../runtime/checkpoint/dtype.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import { checkUnlocked, lockFolder } from '../../runtime/node/lock.ts';
import { sweepTemporaries, trackEmpty } from '../../runtime/node/temporary.ts';
import type { Program } from '../../runtime/program.ts';
import { UsageError } from '../errors.ts';
import { fileError } from '../../library/file-error.ts';
import { metricsPage, type SampleGrid } from '../metrics-page.ts';
import { readMetrics } from '../metrics.ts';
import { checkOutputFolder } from '../out-path.ts';
import { forgetEvents } from '../tensorboard.ts';
import { checkpointSteps } from './checkpoint.ts';
import { furtherAverages, readAverage, readLowRank } from '../../runtime/train.ts';
import { adapterNames } from '../../runtime/checkpoint/low-rank.ts';
import { encodeValues } from '../../runtime/checkpoint/encode.ts';
import type { TensorToWrite } from '../../runtime/checkpoint/tensor-write.ts';
import { latestCheckpoint } from './resume.ts';

const METRICS = 'metrics.jsonl';
/** What a training writes there. */
export const WRITTEN = [
  METRICS,
  'training.html',
  'weights.safetensors',
  'adapter.safetensors',
  'checkpoints',
  'samples',
  'astray',
] as const;

export class TrainingFolder {
  readonly metrics: string;
  readonly checkpoints: string;
  readonly weights: string;
  /** Low-rank steps alone, of a training of such. */
  readonly adapter: string;
  /** Of a kernel that made a training go astray: what it read and wrote. */
  readonly astray: string;
  readonly #samples: string;

  constructor(readonly path: string) {
    this.metrics = join(path, METRICS);
    this.checkpoints = join(path, 'checkpoints');
    this.weights = join(path, 'weights.safetensors');
    this.adapter = join(path, 'adapter.safetensors');
    this.astray = join(path, 'astray');
    this.#samples = join(path, 'samples');
  }

  /**
   * The checkpoint to go on from: `resume` is a path or `latest`. Without one, training begins at its first step; `note` says
   * so where a former training is begun anew.
   * @throws UsageError when it would write over another, RuntimeError `locked` when one runs there.
   */
  async checkpointFor(resume: string | undefined): Promise<{ readonly path?: string; readonly note?: string }> {
    checkOutputFolder(this.path);
    checkUnlocked(this.path);
    const written = WRITTEN.filter((name) => existsSync(join(this.path, name)));
    const checkpoints = await checkpointSteps(this.checkpoints);
    const elsewhere = 'give another --out';
    if (resume !== undefined && resume !== 'latest') {
      const isOwn = resolve(dirname(resume)) === resolve(this.checkpoints);
      if (written.length && !isOwn) throw this.#taken(`it holds ${written[0]} of another training`, elsewhere);
      return { path: resume };
    }
    const isUnfinished = written.includes(METRICS) && !checkpoints.length && !existsSync(this.weights);
    if (resume && !isUnfinished) return { path: await latestCheckpoint(this.checkpoints) };
    if (isUnfinished) return { note: `the training in ${this.path} ended before its first checkpoint: it begins anew` };
    if (checkpoints.length)
      throw this.#taken('it holds a training already', `go on with it: --resume latest; or ${elsewhere}`);
    if (written.length) throw this.#taken(`training would write over its ${written[0]}`, elsewhere);
    return {};
  }

  /** The checkpoint in it that was written last, if there is one. */
  async lastCheckpoint(): Promise<string | undefined> {
    const { length } = await checkpointSteps(this.checkpoints);
    return length ? latestCheckpoint(this.checkpoints) : undefined;
  }

  #taken(why: string, fix: string): UsageError {
    return new UsageError({ what: `--out is ${this.path}`, why, fix });
  }

  /**
   * Makes the folder and takes its lock; what a killed training left under way is removed. Returns what unlocks it, and removes
   * the folder that it made where nothing has been written.
   */
  lock(): () => void {
    try {
      const isNew = mkdirSync(this.path, { recursive: true }) !== undefined;
      const untrack = isNew ? trackEmpty(this.path) : () => {};
      const unlock = lockFolder(this.path, 'ditc train');
      for (const folder of [this.path, this.checkpoints, this.#samples]) sweepTemporaries(folder);
      return () => {
        unlock();
        untrack();
      };
    } catch (error) {
      throw error instanceof RuntimeError ? error : fileError(this.path, 'cannot write into the folder', error);
    }
  }

  /** Removes samples and events of a training that is begun anew: its steps are others. */
  forgetLooks(): void {
    forgetEvents(this.path);
    for (const { src } of this.#drawn()) rmSync(join(this.path, src));
  }

  async addSample(step: number, png: Uint8Array): Promise<void> {
    mkdirSync(this.#samples, { recursive: true });
    await writeAtomically(join(this.#samples, `${String(step).padStart(7, '0')}.png`), (write) => write(png));
  }

  /** training.html, of what there is up to `step`. */
  async writePage(title: string, step: number): Promise<void> {
    const samples = this.#drawn().filter((sample) => sample.step <= step);
    const page = metricsPage(readMetrics(this.metrics), { title, timesteps: TIMESTEPS, samples });
    await writeAtomically(join(this.path, 'training.html'), (write) => write(Buffer.from(page)));
  }

  /** The samples that are there. */
  #drawn(): SampleGrid[] {
    const names = existsSync(this.#samples) ? readdirSync(this.#samples) : [];
    return names.flatMap((name) => {
      const step = /^(\d{7,})\.png$/.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), src: `samples/${name}` }];
    });
  }

  /** The trained weights under the names that the model has them by. */
  async writeWeights(program: Program, dtype: Extract<DType, 'f32' | 'f16'>, metadata: Record<string, string>) {
    const tensors = (average?: string) =>
      program.manifest.params.map(({ name, shape }) => ({
        name,
        dtype,
        shape: [...shape],
        async *chunks() {
          yield (await readAverage(program, name, average)) as Float32Array;
        },
      }));
    await this.#writeAdapter(program, metadata);
    for (const average of furtherAverages(program)) {
      const path = join(this.path, `weights-${average}.safetensors`);
      await writeAtomically(path, (write) => writeSafetensors(write, tensors(average), metadata));
    }
    await writeAtomically(this.weights, (write) => writeSafetensors(write, tensors(), metadata));
  }

  /** The low-rank steps, where such were trained, by PEFT's names. */
  async #writeAdapter(program: Program, metadata: Record<string, string>): Promise<void> {
    const tensors: TensorToWrite[] = [];
    for (const { name } of program.manifest.params) {
      const step = await readLowRank(program, name);
      if (!step) continue;
      const { a, b } = adapterNames(name);
      const part = (name: string, values: Float32Array, shape: number[]) =>
        tensors.push({ name, dtype: 'f32', shape, chunks: () => [encodeValues('f32', values, name)] });
      part(a, step.a, [step.rank, step.a.length / step.rank]);
      part(b, step.b, [step.b.length / step.rank, step.rank]);
    }
    if (tensors.length) await writeAtomically(this.adapter, (write) => writeSafetensors(write, tensors, metadata));
  }
}

/** Of the diffusion process that models are trained with; what the page divides into slices. */
const TIMESTEPS = 1000;
