import { describe, expect, it } from 'vitest';
import { checkRange } from '../../../runtime/checkpoint/source.ts';
import type { ByteSource } from '../../../runtime/checkpoint/source.ts';
import { StoredTensorFile } from '../../../runtime/checkpoint/stored.ts';
import { collapse, isContiguous, rowMajorStrides } from '../../../runtime/checkpoint/strided.ts';
import { random } from './support.ts';

/** An i32 storage of any size whose element i is i mod 2^31; remembers how much was asked for at once. */
class Counting implements ByteSource {
  readonly name = 'counting';
  readonly size: number;
  largest = 0;
  total = 0;
  constructor(elements: number) {
    this.size = elements * 4;
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    this.largest = Math.max(this.largest, length);
    this.total += length;
    const out = new Int32Array(length / 4);
    for (let i = 0; i < out.length; i++) out[i] = (offset / 4 + i) % 2 ** 31;
    return new Uint8Array(out.buffer);
  }
  async close(): Promise<void> {}
}

function viewOf(source: ByteSource, shape: number[], strides: number[], offset = 0) {
  const t = { name: 't', dtype: 'i32' as const, shape, strides, source, byteOffset: offset * 4 };
  return new StoredTensorFile(source, new Map([['t', t]]), {});
}

describe('strided views', () => {
  it('collapses what is contiguous', () => {
    expect(collapse([2, 3, 4], [12, 4, 1])).toEqual({ counts: [24], strides: [1] });
    expect(collapse([2, 1, 4], [4, 99, 1])).toEqual({ counts: [8], strides: [1] });
    expect(collapse([3, 8], [0, 1])).toEqual({ counts: [3, 8], strides: [0, 1] });
    expect(isContiguous(collapse([1, 1], [5, 7]))).toBe(true);
    expect(isContiguous(collapse([4], [2]))).toBe(false);
    expect(rowMajorStrides([2, 0, 3])).toEqual([3, 3, 1]);
  });

  it('gathers random views like a loop over the indices', async () => {
    const next = random(3);
    const pick = (n: number) => Math.floor(next() * n);
    for (let i = 0; i < 300; i++) {
      const shape = Array.from({ length: pick(5) }, () => 1 + pick(4));
      const strides = shape.map(() => pick(9));
      const offset = pick(5);
      const want: number[] = [];
      const walk = (dim: number, at: number) => {
        if (dim === shape.length) want.push(at);
        else for (let j = 0; j < shape[dim]; j++) walk(dim + 1, at + j * strides[dim]);
      };
      walk(0, offset);
      const file = viewOf(new Counting(300), shape, strides, offset);
      expect([...(await file.readI32('t'))]).toEqual(want);
      const chunks: number[] = [];
      for await (const chunk of file.readF32Chunks('t', 1 + pick(6))) chunks.push(...chunk);
      expect(chunks).toEqual(want);
    }
  });

  it('gathers a transposed tensor larger than one block, with bounded reads', async () => {
    const [rows, columns] = [4097, 4099];
    const source = new Counting(rows * columns);
    const values = await viewOf(source, [columns, rows], [1, columns]).readI32('t');
    let wrong = 0;
    for (let c = 0; c < columns; c++) {
      for (let r = 0; r < rows; r++) if (values[c * rows + r] !== r * columns + c) wrong++;
    }
    expect(wrong).toBe(0);
    expect(source.largest).toBeLessThanOrEqual(64 * 2 ** 20);
  });

  it('skips what lies between far-apart elements', async () => {
    const source = new Counting(2 ** 32);
    const values = await viewOf(source, [2, 3], [2 ** 31 + 5, 2 ** 28]).readI32('t');
    expect([...values]).toEqual([0, 2 ** 28, 2 ** 29, 5, 2 ** 28 + 5, 2 ** 29 + 5]);
    expect(source.largest).toBeLessThanOrEqual(64 * 2 ** 20);
    expect(source.total).toBeLessThanOrEqual(6 * 64 * 2 ** 20);
  });
});
