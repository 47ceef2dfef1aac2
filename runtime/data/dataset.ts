/** What training reads: examples by number, each a tensor and a label. Where they come from is the opener's matter. */
import { RuntimeError, quote } from '../error.ts';
import type { ToldOfExamples } from './told.ts';

/** Bytes are pixels, 0 … 255 standing for −1 … 1; floats are taken as they are. */
export type Example = Uint8Array | Float32Array;

/** What is stored: pixels, a VAE's latents, or the means and log variances that latents are drawn from at each reading. */
export type Content = 'pixels' | 'latents' | 'moments';

/** `refuse` ends the training at the first example that cannot be read; `skip` goes on without it. */
export type OnBad = 'skip' | 'refuse';

/** The same seed and epoch draw the same. */
export interface Draw {
  readonly seed: number;
  readonly epoch: number;
}

/** What a training reads its examples from: `openData` opens one. */
export interface Dataset {
  /** The path it was opened from. */
  readonly name: string;
  /** What its values are. */
  readonly content: Content;
  /** Examples. */
  readonly count: number;
  /** Of one example as it is read: [C,H,W]. */
  readonly shape: readonly number[];
  /** Class names; a label is a place in this list. */
  readonly classes: readonly string[];
  /** Label of every example. */
  readonly labels: Int32Array;
  /** Whether half of the examples are to be mirrored. */
  readonly flip: boolean;
  /** What to do with an example that cannot be read. */
  readonly onBad: OnBad;
  /** Changes when examples are added, removed, renamed or labelled otherwise. */
  readonly fingerprint: string;
  /** What the model is told of each example besides its label. */
  readonly told?: ToldOfExamples;
  /** Remarks for the user: files that were left out, and the like. */
  readonly notes: readonly string[];
  /** The files that examples first … first + count − 1 are read from. */
  filesOf(first: number, count: number): readonly string[];
  /** What to call an example in messages: its file, or its row. */
  nameOf(index: number): string;
  /**
   * The values of an example, mirrored left to right if asked. Not to be written to: they may be a cache's. `draw` says which
   * of all draws this is, where something of an example is drawn at each reading.
   * @throws RuntimeError `bad-example` when this one cannot be read; anything else concerns the whole.
   */
  read(index: number, mirror: boolean, draw?: Draw): Promise<Example>;
  /** Gives back the files and threads that it holds. */
  close(): Promise<void>;
}

/** The data, with what is told of it. Closing it closes both. */
export const withTold = (data: Dataset, told: ToldOfExamples): Dataset => ({
  ...data,
  told,
  fingerprint: `${data.fingerprint}, told ${told.fingerprint}`,
  close: async () => void (await Promise.all([data.close(), told.close()])),
});

export function badExample(where: string, why: string, cause?: unknown): RuntimeError {
  const fix = 'remove or replace it, or let training leave such examples out';
  return new RuntimeError({ code: 'bad-example', where, what: 'the example cannot be read', why, fix, cause });
}

export const isBadExample = (error: unknown): error is RuntimeError =>
  error instanceof RuntimeError && error.code === 'bad-example';

/** What a checkpoint keeps of its data, so that training goes on with the same labels and in the same order. */
export interface DataRecord {
  readonly classes: readonly string[];
  readonly count: number;
  readonly fingerprint: string;
}

export const recordOf = ({ classes, count, fingerprint }: Dataset): DataRecord => ({
  classes: [...classes],
  count,
  fingerprint,
});

/**
 * Whether a position that was saved with `record` means the same in `dataset`; false when the data has changed.
 * @throws RuntimeError `labels` when the classes are others, for then what was learnt would be wrong.
 */
export function sameData(dataset: Dataset, record: DataRecord): boolean {
  const differs = dataset.classes.findIndex((name, i) => name !== record.classes[i]);
  if (differs >= 0 || dataset.classes.length !== record.classes.length) {
    const at = differs >= 0 ? differs : dataset.classes.length;
    const shown = (name: string | undefined) => (name === undefined ? 'missing' : quote(name));
    throw new RuntimeError({
      code: 'labels',
      where: dataset.name,
      what: 'the classes are not those of the checkpoint',
      why: `class ${at} is ${shown(dataset.classes[at])} here and ${shown(record.classes[at])} there`,
      fix: 'give the data it was trained on, or begin anew',
    });
  }
  return dataset.count === record.count && dataset.fingerprint === record.fingerprint;
}

/** Values of a byte: exactly f32(byte / 127.5 − 1). */
const VALUES = Float32Array.from({ length: 256 }, (_, byte) => byte / 127.5 - 1);

/** Writes an example's values at `at`. */
export function writeValues(out: Float32Array, at: number, example: Example): void {
  if (example instanceof Float32Array) out.set(example, at);
  else for (let i = 0; i < example.length; i++) out[at + i] = VALUES[example[i]];
}

/** A copy with every row of `width` values reversed. */
export function mirrored<T extends Example>(values: T, width: number): T {
  const out = values.slice() as T;
  for (let row = 0; row < out.length; row += width) out.subarray(row, row + width).reverse();
  return out;
}

/** More classes than any data set has; a label beyond is damage. */
const MOST_CLASSES = 1_000_000;

/**
 * The names of the classes: those given, else the numbers of the labels. `nameOf` names an example.
 * @throws RuntimeError `labels` when a label has no name, or the model no class for it.
 */
export function checkLabels(
  labels: Int32Array,
  given: { readonly labels?: readonly string[]; readonly classes?: number },
  source: string,
  nameOf: (index: number) => string,
): readonly string[] {
  const known = Math.min(given.labels?.length ?? MOST_CLASSES, given.classes ?? MOST_CLASSES);
  const wrong = labels.findIndex((label) => label < 0 || label >= known);
  const most = labels.reduce((a, b) => Math.max(a, b), 0);
  if (wrong >= 0) throw wrongLabel(labels[wrong], most, given, source, nameOf(wrong));
  return given.labels ?? Array.from({ length: most + 1 }, (_, i) => String(i));
}

function wrongLabel(
  label: number,
  most: number,
  { labels, classes }: { readonly labels?: readonly string[]; readonly classes?: number },
  where: string,
  example: string,
): RuntimeError {
  const named = labels !== undefined && labels.length < (classes ?? Infinity);
  const known = named ? labels.length : (classes ?? MOST_CLASSES);
  const has = named ? 'the data names' : classes === undefined ? 'no model has more than' : 'the model has';
  const why = `${has} ${known} ${known === 1 ? 'class' : 'classes'}`;
  const what = `the label of ${example} is ${label}`;
  const grow = !named && classes !== undefined && label >= 0 && most < MOST_CLASSES;
  const fix = grow ? `give the model numClasses: ${most + 1}, or number the classes` : 'number the classes';
  return new RuntimeError({
    code: 'labels',
    where,
    what,
    why,
    fix: `${fix} from 0${label < 0 ? '' : ` to ${known - 1}`}`,
  });
}
