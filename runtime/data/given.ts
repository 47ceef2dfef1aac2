/** Examples that a program holds in memory, as a dataset. */
import type { InputSpec } from '../../compiler/emit/artefact.ts';
import { RuntimeError } from '../error.ts';
import { keyOf } from '../random.ts';
import { findNonFinite, shown } from '../values.ts';
import { checkLabels, mirrored, type Dataset } from './dataset.ts';
import { toldInMemory } from './told.ts';

/** Examples in memory, [n, C, H, W] row by row, of the shape that the model takes. */
export interface GivenExamples {
  /** All examples one after the other: bytes are pixels, 0 … 255 standing for −1 … 1; floats are taken as they are. */
  readonly images: Float32Array | Uint8Array;
  /** The class of each, where the model has classes: whole numbers from 0. */
  readonly labels?: ArrayLike<number>;
  /** Of what the model is told of examples besides, by the input's name: a row for each, one after the other, or one for all. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
}

const wrong = (what: string, why: string, fix: string) => new RuntimeError({ code: 'bad-argument', what, why, fix });

/** @throws RuntimeError `bad-argument`, `bad-example`, `labels` unless they are whole, finite examples, and their labels classes. */
export function givenDataset(
  { images, labels: given, inputs = {} }: GivenExamples,
  shape: readonly number[],
  { flip = false, classes, takes = [] }: { flip?: boolean; classes?: number; takes?: readonly InputSpec[] } = {},
): Dataset {
  const size = shape.reduce((a, b) => a * b, 1);
  const count = images.length / size;
  if (!(images instanceof Float32Array || images instanceof Uint8Array) || !Number.isInteger(count) || !count)
    throw wrong(
      'images are no whole examples',
      `an example is [${shape.join(', ')}]`,
      `give some times ${size} values`,
    );
  checkFinite(images, size);
  const labels = given === undefined ? new Int32Array(count) : labelsOf(given, count);
  const nameOf = (index: number) => `example ${index}`;
  const names = checkLabels(labels, { classes }, 'labels', nameOf);
  return {
    name: 'examples',
    content: images instanceof Uint8Array ? 'pixels' : 'latents',
    count,
    shape,
    classes: names,
    labels,
    flip,
    onBad: 'refuse',
    told: toldInMemory(takes, inputs, count),
    fingerprint: String(keyOf(count, 'examples')),
    notes: [],
    filesOf: () => [],
    nameOf,
    async read(index, mirror) {
      const values = images.subarray(index * size, (index + 1) * size);
      return mirror ? mirrored(values, shape[shape.length - 1]) : values;
    },
    close: async () => {},
  };
}

/** A label for each example. @throws RuntimeError `bad-argument`, `labels` for the first that is no whole number. */
function labelsOf(given: ArrayLike<unknown>, count: number): Int32Array {
  const { length } = given;
  if (typeof given !== 'object' || length !== count) {
    const what = length === undefined ? `labels is ${shown(given)}` : `there are ${length} labels`;
    throw wrong(what, `images holds ${count} examples`, 'give one for each');
  }
  const labels = Int32Array.from(given as ArrayLike<number>, (label) => (isNumber(label) ? Number(label) : NaN));
  const odd = labels.findIndex((label, i) => given[i] !== label && given[i] !== BigInt(label));
  if (odd < 0) return labels;
  const what = `the label of example ${odd} is ${isNumber(given[odd]) ? given[odd] : shown(given[odd])}`;
  const [why, fix] = ['labels are whole numbers of 32 bits', 'number the classes from 0'];
  throw new RuntimeError({ code: 'labels', where: 'labels', what, why, fix });
}

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint';

/** Throws for the first example that is not finite. Bytes always are. */
function checkFinite(images: Float32Array | Uint8Array, size: number): void {
  const found = images instanceof Float32Array ? findNonFinite(images) : undefined;
  if (!found) return;
  const what = `example ${Math.floor(found.first / size)} is not finite`;
  const why = `its value ${found.first % size} is ${found.value}; ${found.count} of all values are not finite`;
  throw new RuntimeError({ code: 'bad-example', where: 'images', what, why, fix: 'leave such examples out' });
}
