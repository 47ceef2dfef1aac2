/** What is told of examples in memory: which row is whose, in batches and in parts, and what does not fit. */
import { describe, expect, it } from 'vitest';
import { givenDataset } from '../../../runtime/data/given.ts';
import { heldOut } from '../../../runtime/data/held-out.ts';
import { prefetch } from '../../../runtime/data/prefetch.ts';

const COUNT = 6;
const takes = [
  { name: 'images', dtype: 'f32' as const, shape: [4, 1, 1, 1] },
  { name: 'text', dtype: 'f32' as const, shape: [4, 2] },
  { name: 'kind', dtype: 'i32' as const, shape: [4] },
  { name: 'seed', dtype: 'u32' as const, shape: [2] },
];
const images = Float32Array.from({ length: COUNT }, (_, i) => i);
const text = Array.from({ length: COUNT * 2 }, (_, i) => i / 2);
const data = (inputs: Record<string, number[]>) => givenDataset({ images, inputs }, [1, 1, 1], { takes });

it('an example is told its row, or the one that is for all, in every batch', async () => {
  const batches = prefetch(data({ text, kind: [7] }), { batch: 4, seed: 1 });
  for (let batch = 0; batch < 3; batch++) {
    const { value } = await batches.next();
    const { x, told } = value!;
    expect(told.text).toEqual(Float32Array.from([...x].flatMap((i) => [i, i + 0.5])));
    expect(told.kind).toEqual(Int32Array.of(7, 7, 7, 7));
    batches.recycle(value!);
  }
});

it('so is one of a part', async () => {
  const { held } = heldOut(data({ text, kind: [7] }), 0.5, 3);
  for (let i = 0; i < held.count; i++) {
    const [image] = await held.read(i, false);
    expect((await held.told!.read(i)).text).toEqual(Float32Array.of(image, image + 0.5));
  }
});

describe('is refused', () => {
  it.each([
    ['what examples have no input of', { text, kind: [7], sort: [1] }, /no input sort: those that they have are: text, kind/],
    ['nothing', { kind: [7] }, /input text does not fit the examples: it has no values; 6 examples have 2 each/],
    ['rows for some', { text: text.slice(2), kind: [7] }, /it has 10 values; 6 examples have 2 each/],
  ])('%s', (_, inputs, message) => expect(() => data(inputs)).toThrow(message)); // prettier-ignore
});
