/** A dataset in two: what is trained on, and a share that is not. Which examples these are depends on the seed and their number alone. */
import { RuntimeError } from '../error.ts';
import type { Dataset } from './dataset.ts';
import { shuffled } from './order.ts';
import { toldOfPart } from './told.ts';

/** @throws RuntimeError `bad-argument` for a share that leaves one of both without an example. */
export function heldOut(
  data: Dataset,
  share: number,
  seed: number,
): { readonly data: Dataset; readonly held: Dataset } {
  const count = Math.round(data.count * share);
  if (!(share > 0 && share < 1 && count > 0 && count < data.count)) {
    const why = `of ${data.count} examples that is ${Number.isFinite(count) ? count : 'no number'}`;
    const fix = 'give a share between 0 and 1 that leaves examples on both sides, such as 0.05';
    throw new RuntimeError({ code: 'bad-argument', what: `a share of ${share} cannot be held out`, why, fix });
  }
  const order = shuffled(seed, 'examples that are held out', data.count);
  const part = (places: Uint32Array, name: string) =>
    partOf(data, places.slice().sort(), `${name} ${share} of seed ${seed}`);
  return { data: part(order.subarray(count), 'without'), held: part(order.subarray(0, count), 'the held out') };
}

/** Some examples of a dataset, by their numbers there. Closing it leaves the whole open. */
function partOf(data: Dataset, numbers: Uint32Array, name: string): Dataset {
  const { classes, content, shape, flip, onBad, notes, told } = data;
  return {
    ...{ name: data.name, classes, content, shape, flip, onBad, notes },
    told: told && toldOfPart(told, numbers),
    count: numbers.length,
    labels: Int32Array.from(numbers, (number) => data.labels[number]),
    fingerprint: `${data.fingerprint}, ${name}`,
    filesOf: (first, count) => [
      ...new Set([...numbers.subarray(first, first + count)].flatMap((number) => data.filesOf(number, 1))),
    ],
    nameOf: (index) => data.nameOf(numbers[index]),
    read: (index, mirror, draw) => data.read(numbers[index], mirror, draw),
    close: async () => {},
  };
}
