/** Examples that a program holds in memory, as a dataset. */
import { RuntimeError } from '../error.ts';
import { keyOf } from '../random.ts';
import { findNonFinite } from '../values.ts';
import { checkLabels, mirrored, type Dataset } from './dataset.ts';

export interface GivenExamples {
  /** All examples one after the other: bytes are pixels, 0 … 255 standing for −1 … 1; floats are taken as they are. */
  readonly images: Float32Array | Uint8Array;
  /** The class of each, where the model has classes. */
  readonly labels?: ArrayLike<number>;
}

/** @throws RuntimeError `bad-argument`, `bad-example`, `labels` unless they are whole, finite examples, and their labels classes. */
export function givenDataset(
  { images, labels: given }: GivenExamples,
  shape: readonly number[],
  { flip = false, classes }: { flip?: boolean; classes?: number } = {},
): Dataset {
  const size = shape.reduce((a, b) => a * b, 1);
  const count = images.length / size;
  const wrong = (what: string, why: string, fix: string) => new RuntimeError({ code: 'bad-argument', what, why, fix });
  if (!(images instanceof Float32Array || images instanceof Uint8Array) || !Number.isInteger(count) || !count)
    throw wrong(
      'images are no whole examples',
      `an example is [${shape.join(', ')}]`,
      `give some times ${size} values`,
    );
  checkFinite(images, size);
  const labels = Int32Array.from(given ?? new Int32Array(count));
  if (labels.length !== count)
    throw wrong(`there are ${labels.length} labels`, `images holds ${count} examples`, 'give one for each');
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

/** Throws for the first example that is not finite. Bytes always are. */
function checkFinite(images: Float32Array | Uint8Array, size: number): void {
  const found = images instanceof Float32Array ? findNonFinite(images) : undefined;
  if (!found) return;
  const what = `example ${Math.floor(found.first / size)} is not finite`;
  const why = `its value ${found.first % size} is ${found.value}; ${found.count} of all values are not finite`;
  throw new RuntimeError({ code: 'bad-example', where: 'images', what, why, fix: 'leave such examples out' });
}
