/** Batches: the same whatever the timing, the read-ahead and the stops; errors at the batch that holds them. */
import { describe, expect, it } from 'vitest';
import { badExample, recordOf, sameData, type Dataset } from '../../../runtime/data/dataset.ts';
import { epochOrder } from '../../../runtime/data/order.ts';
import { prefetch, type Batch, type PrefetchOptions } from '../../../runtime/data/prefetch.ts';
import { RuntimeError } from '../../../runtime/error.ts';

interface Fake extends Dataset {
  /** Reads under way, and the most there ever were. */
  pending: number;
  most: number;
}

/** Example i is [i, i + 0.5], mirrored [i + 0.5, i]. Reads end out of order. */
function fake(count: number, { bad = [] as number[], onBad = 'refuse' as Dataset['onBad'], flip = false } = {}): Fake {
  return {
    name: 'fake',
    content: 'pixels',
    count,
    shape: [1, 1, 2],
    classes: ['a', 'b'],
    labels: Int32Array.from({ length: count }, (_, i) => i % 2),
    flip,
    onBad,
    fingerprint: String(count),
    filesOf: () => [],
    notes: [],
    pending: 0,
    most: 0,
    nameOf: (i) => `#${i}`,
    async read(i, mirror) {
      this.most = Math.max(this.most, ++this.pending);
      await new Promise((resolve) => setTimeout(resolve, (i * 7919) % 5));
      this.pending--;
      if (bad.includes(i)) throw badExample(`#${i}`, 'broken');
      return mirror ? Float32Array.of(i + 0.5, i) : Float32Array.of(i, i + 0.5);
    },
    close: async () => {},
  };
}

async function take(dataset: Dataset, n: number, options: Partial<PrefetchOptions> = {}): Promise<Batch[]> {
  const batches = prefetch(dataset, { batch: 4, seed: 9, ...options });
  const out: Batch[] = [];
  for await (const batch of batches) if (out.push(batch) === n) break;
  return out;
}

const examples = (batches: readonly Batch[]) => batches.flatMap((batch) => [...batch.examples]);

describe('prefetch', () => {
  it('follows the order of the epochs, across their ends', async () => {
    const batches = await take(fake(10), 5);
    expect(examples(batches)).toEqual([...epochOrder(9, 0, 10), ...epochOrder(9, 1, 10)]);
    for (const { x, y, examples: which } of batches) {
      expect([...x]).toEqual([...which].flatMap((i) => [i, i + 0.5]));
      expect([...y]).toEqual([...which].map((i) => i % 2));
    }
    expect(batches.map(({ next }) => next)).toEqual([
      { epoch: 0, index: 4 },
      { epoch: 0, index: 8 },
      { epoch: 1, index: 2 },
      { epoch: 1, index: 6 },
      { epoch: 2, index: 0 },
    ]);
  });

  it('does not depend on how far it reads ahead', async () => {
    const plain = await take(fake(10, { flip: true }), 8, { ahead: 1 });
    expect(await take(fake(10, { flip: true }), 8, { ahead: 5 })).toEqual(plain);
    expect(plain.some(({ x }) => x[0] > x[1])).toBe(true);
    expect(plain.some(({ x }) => x[0] < x[1])).toBe(true);
  });

  it('goes on from any batch, and with other batch sizes, as if it had never stopped', async () => {
    const data = () => fake(11, { flip: true, bad: [3, 8], onBad: 'skip' });
    const all = await take(data(), 9);
    for (const [i, { next }] of all.slice(0, -1).entries()) {
      const position = JSON.parse(JSON.stringify(next));
      expect(await take(data(), 1, { position })).toEqual([all[i + 1]]);
    }
    expect(examples(await take(data(), 12, { batch: 3 }))).toEqual(examples(all));
  });

  it('leaves bad examples out, in every epoch', async () => {
    const batches = await take(fake(6, { bad: [0, 4], onBad: 'skip' }), 4);
    const good = (epoch: number) => [...epochOrder(9, epoch, 6)].filter((i) => i !== 0 && i !== 4);
    expect(examples(batches)).toEqual([0, 1, 2, 3].flatMap(good));
  });

  it('says so when no example is good', async () => {
    const error = await take(fake(5, { bad: [0, 1, 2, 3, 4], onBad: 'skip' }), 1).catch((e) => e);
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error.code).toBe('no-data');
    expect(error.message).toMatch(/none of its 5 examples can be read.*broken/s);
  });

  it('fails at the batch with the bad example and is over then', async () => {
    const bad = epochOrder(9, 0, 40)[9]; // of the third batch
    const batches = prefetch(fake(40, { bad: [bad] }), { batch: 4, seed: 9, ahead: 4 });
    await batches.next();
    await new Promise((resolve) => setTimeout(resolve, 20)); // long enough to have read it
    expect((await batches.next()).done).toBe(false);
    await expect(batches.next()).rejects.toThrow(`#${bad}: the example cannot be read: broken`);
    expect((await batches.next()).done).toBe(true);
  });

  it('reads no more than it may ahead', async () => {
    const dataset = fake(1000);
    await take(dataset, 20, { ahead: 3 });
    expect(dataset.most).toBeLessThanOrEqual(12);
    expect(dataset.most).toBeGreaterThan(4);
  });

  it('reuses only what is given back', async () => {
    const batches = prefetch(fake(100), { batch: 4, seed: 9 });
    const kept = (await batches.next()).value as Batch;
    const values = [...kept.x];
    const given = (await batches.next()).value as Batch;
    batches.recycle(given);
    batches.recycle(given);
    const later = [];
    for (let i = 0; i < 6; i++) later.push((await batches.next()).value as Batch);
    expect(later.filter(({ x }) => x === given.x)).toHaveLength(1);
    expect([...kept.x]).toEqual(values);
    expect(examples(later)).toEqual([...epochOrder(9, 0, 100)].slice(8, 32));
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const dataset = { ...fake(10), read: () => new Promise<never>(() => {}) };
    const batches = prefetch(dataset, { batch: 4, seed: 9, signal: stop.signal });
    const waiting = batches.next();
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(batches.next()).rejects.toThrow('enough');
    const closed = prefetch(fake(10), { batch: 4, seed: 9 });
    await closed.next();
    await closed.return();
    expect((await closed.next()).done).toBe(true);
  });

  it('refuses a batch size and a position that make no sense', () => {
    expect(() => prefetch(fake(3), { batch: 0, seed: 1 })).toThrow(/batch size is 0/);
    expect(() => prefetch(fake(3), { batch: 1, seed: 1, position: { epoch: 0, index: 3 } })).toThrow(/has 3 examples/);
  });
});

describe('the record of the data', () => {
  it('tells other data from the same, and refuses other classes', () => {
    const record = JSON.parse(JSON.stringify(recordOf(fake(3))));
    expect(sameData(fake(3), record)).toBe(true);
    expect(sameData(fake(4), record)).toBe(false);
    expect(() => sameData({ ...fake(3), classes: ['a', 'c'] }, record)).toThrow(/class 1 is "c" here and "b" there/);
    expect(() => sameData({ ...fake(3), classes: ['a'] }, record)).toThrow(/class 1 is missing here and "b" there/);
  });
});
