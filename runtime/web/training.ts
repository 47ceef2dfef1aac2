/**
 * Training in a page: a model that is loaded with its data, and checkpoints that `ditc train --resume` takes, and gives.
 */
import { RuntimeError } from '../error.ts';
import { openSafetensors } from '../checkpoint/safetensors.ts';
import type { ByteSource } from '../checkpoint/source.ts';
import { checkCheckpoint, loadCheckpoint, RECORD, writeTraining } from '../checkpoint/training.ts';
import type { TrainOptions, TrainResult } from '../train.ts';
import { download, downloadJson, type Downloads } from './download.ts';
import type { load as loadModel, LoadOptions, PageModel } from './load.ts';
import type { ModelFile, StoredFile, StoredTraining } from './model-file.ts';
import { page } from './page.ts';
import { openStore } from './store.ts';

export interface TrainerOptions extends LoadOptions {
  /** Is told of the data's bytes as they come in. */
  readonly onData?: (bytes: number, totalBytes: number) => void;
}

/** Steps to take; the data, their order and its seed are those of the build. */
export type StepOptions = Omit<TrainOptions, 'data' | 'seed' | 'flip'>;

const PATIENCE = 30;

/** Loads what is trained in the folder at `from` by `load` of runtime.js. @throws as that. */
export async function openTrainer(
  load: typeof loadModel,
  from: string | URL,
  { onData, ...options }: TrainerOptions = {},
): Promise<Trainer> {
  const base = new URL(`${String(from).replace(/\/?$/, '/')}`, page.location?.href);
  const { signal, patience = PATIENCE } = options;
  const model = (await downloadJson('model.json', { base, signal, patience })) as ModelFile;
  const { training } = model;
  if (!training) {
    const fix = 'build it with ditc build --target web --data';
    throw new RuntimeError({ code: 'entry', where: base.href, what: 'no data to train on came with it', fix });
  }
  const files = [...training.images, ...training.labels];
  const totalBytes = bytesOf(files);
  let bytes = 0;
  const onBytes = (more: number) => onData?.((bytes += more), totalBytes);
  const store = await openStore(files, { base, model }, (note) => options.onNote?.(note));
  const downloads = { base, signal, patience, onBytes, store };
  const [images, labels] = [await whole(training.images, downloads), await whole(training.labels, downloads)];
  const data = {
    images: training.content === 'pixels' ? images : new Float32Array(images.buffer),
    labels: new Int32Array(labels.buffer),
  };
  return new Trainer(await load(from, options), data, training.record);
}

const bytesOf = (files: readonly StoredFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

async function whole(files: readonly StoredFile[], downloads: Downloads): Promise<Uint8Array<ArrayBuffer>> {
  const all = new Uint8Array(files.reduce((sum, { bytes, unpacked }) => sum + (unpacked ?? bytes), 0));
  let at = 0;
  for (const file of files) {
    const part = await download(file, downloads);
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export class Trainer {
  constructor(
    readonly model: PageModel,
    private readonly data: { readonly images: Uint8Array | Float32Array; readonly labels: Int32Array },
    private readonly record: StoredTraining['record'],
  ) {}

  /** Steps done. */
  get step(): number {
    return this.model.trainingPlace?.step ?? 0;
  }

  /** Takes steps, from where it is. */
  train(options: StepOptions): Promise<TrainResult> {
    const { seed, flip } = this.record.settings;
    return this.model.train({ ...options, data: this.data, seed, flip });
  }

  /** Where it is, as a file for `ditc train --resume`, and for {@link restore}. @throws RuntimeError `entry` before the first step. */
  checkpoint(): Promise<Uint8Array<ArrayBuffer>[]> {
    return this.model.readTraining(async (program, place) => {
      if (!place) {
        const what = 'training has not begun: there is nothing to keep';
        throw new RuntimeError({ code: 'entry', what, fix: 'take a step first' });
      }
      const parts: Uint8Array<ArrayBuffer>[] = [];
      const write = async (bytes: Uint8Array) => void parts.push(Uint8Array.from(bytes));
      const { step, position } = place;
      await writeTraining(write, program, { ...this.record, step, position });
      return parts;
    });
  }

  /**
   * Goes on from a checkpoint of a page or of `ditc train`.
   * @throws RuntimeError `bad-format`, `truncated`; `mismatch` for one of another training: what is here stays as it is.
   */
  async restore(name: string, bytes: Uint8Array): Promise<void> {
    const file = await openSafetensors(bytesIn(name, bytes));
    const { step, position } = this.#recordIn(name, file.metadata[RECORD]);
    checkCheckpoint(this.model.program, file);
    await this.model.resumeTraining({ step, position }, (program) => loadCheckpoint(program, file));
  }

  #recordIn(where: string, text: string | undefined) {
    const wrong = (what: string, why?: string) =>
      new RuntimeError({
        code: 'mismatch',
        ...{ where, what, why },
        fix: 'give a checkpoint of this training: one saved here, or of ditc train with the same model, data and settings',
      });
    if (text === undefined) throw wrong('it is no checkpoint of a training');
    let given: Record<string, unknown> & { step: number; position: { epoch: number; index: number } };
    try {
      given = JSON.parse(text) as typeof given;
    } catch (error) {
      throw wrong('its record of the training is damaged', String(error));
    }
    const own = this.record as unknown as Record<string, unknown>;
    const other = Object.keys(own).find((key) => sorted(given?.[key]) !== sorted(own[key]));
    if (other !== undefined)
      throw wrong(
        'it is of another training',
        `its ${other} is ${sorted(given?.[other])}, here it is ${sorted(own[other])}`,
      );
    const counts = [given.step, given.position?.epoch, given.position?.index];
    if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0))
      throw wrong('its record of the training is damaged', `step and position are ${counts.join(', ')}`);
    return given;
  }
}

/** As JSON, keys in order. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

const bytesIn = (name: string, bytes: Uint8Array): ByteSource => ({
  name,
  size: bytes.length,
  async read(offset, length) {
    if (offset + length <= bytes.length) return bytes.slice(offset, offset + length);
    const fix = 'save the checkpoint again';
    throw new RuntimeError({ code: 'truncated', where: name, what: 'the file ends too soon', fix });
  },
  close: async () => {},
});
