import { describe, expect, it } from 'vitest';
import { decodeF32, elementCount } from '../../../runtime/checkpoint/dtype.ts';
import { encodeValues } from '../../../runtime/checkpoint/encode.ts';

const allBits = Uint8Array.from({ length: 131072 }, (_, i) => (i % 2 === 0 ? (i >> 1) & 255 : i >> 9));

type Half = 'f16' | 'bf16';
const encodeBits = (dtype: Half, value: number): number => {
  const [low, high] = encodeValues(dtype, Float32Array.of(value), 'x');
  return low | (high << 8);
};

describe('half types', () => {
  it('decodes the corner values of f16 and bf16', () => {
    const half = (bits: number) => decodeF32('f16', Uint8Array.of(bits & 255, bits >> 8))[0];
    expect([0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0xfc00].map(half)).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      2 ** -14,
      Infinity,
      -Infinity,
    ]);
    expect(half(0x7e00)).toBeNaN();
    expect([...decodeF32('bf16', Uint8Array.of(0x80, 0x3f, 0x80, 0xff))]).toEqual([1, -Infinity]);
  });

  for (const dtype of ['f16', 'bf16'] as const) {
    const encode = (value: number) => encodeBits(dtype, value);

    it(`encodes every ${dtype} value back to its bits`, () => {
      const values = decodeF32(dtype, allBits);
      let wrong = 0;
      values.forEach((value, bits) => {
        if (!Number.isNaN(value) && encode(value) !== bits) wrong++;
      });
      expect(wrong).toBe(0);
      expect(decodeF32(dtype, encodeValues(dtype, Float32Array.of(NaN), 'x'))[0]).toBeNaN();
    });

    it(`rounds to the nearest ${dtype}, ties to even`, () => {
      const values = decodeF32(dtype, allBits);
      // The smallest normal value's bits: among bf16's subnormals f32 has no room for a midpoint's neighbours.
      const first = dtype === 'f16' ? 0 : 0x80;
      let wrong = 0;
      for (let bits = first; bits + 1 < encode(Infinity); bits++) {
        const middle = (values[bits] + values[bits + 1]) / 2;
        if (encode(middle) !== bits + (bits % 2)) wrong++;
        if (encode(middle * (1 - 2 ** -20)) !== bits) wrong++;
        if (encode(middle * (1 + 2 ** -20)) !== bits + 1) wrong++;
      }
      expect(wrong).toBe(0);
    });
  }

  it('overflows f16 to infinity at the midpoint beyond 65504', () => {
    expect(encodeBits('f16', 65519.99)).toBe(0x7bff);
    expect(encodeBits('f16', 65520)).toBe(0x7c00);
    expect(encodeBits('f16', -1e9)).toBe(0xfc00);
    expect(encodeBits('bf16', 3.4e38)).toBe(0x7f80);
  });
});

describe('elementCount', () => {
  it('is NaN for what cannot be a shape', () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([2, 0, 5])).toBe(0);
    expect(elementCount([2 ** 30, 2 ** 30])).toBeNaN();
    expect(elementCount([2 ** 30, 2 ** 30, 0])).toBe(0);
    expect(elementCount([-1])).toBeNaN();
    expect(elementCount([1.5])).toBeNaN();
  });

  it('decodes unaligned bytes', () => {
    const bytes = new Uint8Array(9);
    bytes.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 1);
    expect([...decodeF32('f32', bytes.subarray(1))]).toEqual([1.5, -2]);
  });
});
