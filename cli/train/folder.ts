/** The folder a training writes: metrics, a page of them, samples, checkpoints and at last the weights. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DType } from '../../runtime/checkpoint/dtype.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors_write.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import type { Program } from '../../runtime/program.ts';
import { fileError, UsageError } from '../errors.ts';
import { interruptible } from '../interrupt.ts';
import { metricsPage, type SampleGrid } from '../metrics-page.ts';
import { readMetrics } from '../metrics.ts';
import { checkOutputFolder } from '../out-path.ts';
import { latestCheckpoint } from './checkpoint.ts';
import { readAverage } from './entries.ts';

export class TrainingFolder {
  readonly metrics: string;
  readonly checkpoints: string;
  readonly weights: string;
  /** Of a kernel that made a training go astray: what it read and wrote. */
  readonly astray: string;
  /** A checkpoint for as long as steps are taken again. */
  readonly before: string;
  readonly #samples: string;

  constructor(readonly path: string) {
    this.metrics = join(path, 'metrics.jsonl');
    this.checkpoints = join(path, 'checkpoints');
    this.weights = join(path, 'weights.safetensors');
    this.astray = join(path, 'astray');
    this.before = join(path, '.before.safetensors');
    this.#samples = join(path, 'samples');
  }

  /**
   * The checkpoint to go on from: `resume` is a path or `latest`.
   * @throws UsageError when a new training would write over another.
   */
  async checkpointFor(resume: string | undefined): Promise<string | undefined> {
    checkOutputFolder(this.path);
    if (resume === 'latest') return latestCheckpoint(this.checkpoints);
    if (resume !== undefined) return resume;
    if (![this.metrics, this.checkpoints].some((path) => existsSync(path))) return undefined;
    const fix = 'go on with it: --resume latest; or give another --out';
    throw new UsageError({ what: `--out: ${this.path} holds a training already`, fix });
  }

  make(): void {
    try {
      mkdirSync(this.path, { recursive: true });
    } catch (error) {
      throw fileError(this.path, 'cannot make the folder', error);
    }
  }

  /** Does work that writes `before`, which is gone afterwards. */
  async removingBefore<T>(work: () => Promise<T>): Promise<T> {
    const remove = () => rmSync(this.before, { force: true });
    return interruptible(work, remove).finally(remove);
  }

  async addSample(step: number, png: Uint8Array): Promise<void> {
    mkdirSync(this.#samples, { recursive: true });
    await writeAtomically(join(this.#samples, `${String(step).padStart(7, '0')}.png`), (write) => write(png));
  }

  /** training.html, of what there is up to `step`. */
  async writePage(title: string, step: number): Promise<void> {
    const names = existsSync(this.#samples) ? readdirSync(this.#samples) : [];
    const samples = names.flatMap((name): SampleGrid[] => {
      const at = Number(/^(\d{7,})\.png$/.exec(name)?.[1]);
      return at <= step ? [{ step: at, src: `samples/${name}` }] : [];
    });
    const page = metricsPage(readMetrics(this.metrics), { title, timesteps: TIMESTEPS, samples });
    await writeAtomically(join(this.path, 'training.html'), (write) => write(Buffer.from(page)));
  }

  /** The trained weights under the names that the model has them by. */
  async writeWeights(program: Program, dtype: Extract<DType, 'f32' | 'f16'>, metadata: Record<string, string>) {
    const tensors = program.manifest.params.map(({ name, shape }) => ({
      name,
      dtype,
      shape: [...shape],
      async *chunks() {
        yield (await readAverage(program, name)) as Float32Array;
      },
    }));
    await writeAtomically(this.weights, (write) => writeSafetensors(write, tensors, metadata));
  }
}

/** Of the diffusion process that models are trained with; what the page divides into slices. */
const TIMESTEPS = 1000;
