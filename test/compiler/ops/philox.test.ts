/** Philox against the known answers that Random123 publishes (kat_vectors, philox4x32 10 rounds). */
import { describe, expect, it } from 'vitest';
import { opDef, philox4x32 } from '../../../compiler/ops/index.ts';

const ONES = 0xffffffff;
const VECTORS: [string, number[], number[], number[]][] = [
  ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
  ['ones', [ONES, ONES, ONES, ONES], [ONES, ONES], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
  [
    'digits of pi',
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

describe('philox4x32-10', () => {
  it.each(VECTORS)('%s', (_name, counter, key, words) => {
    expect(philox4x32(counter, key)).toEqual(words);
  });

  it('is the op: lane i is word i, with 0 as the fourth counter word', () => {
    const scalar = (x: number) => ({ dtype: 'u32' as const, shape: [], data: Float64Array.of(x) });
    const type = { dtype: 'u32' as const, shape: [] };
    const operands = [7, 8, 1, 2, 3].map(scalar);
    const words = [0, 1, 2, 3].map((lane) => opDef('philox').reference(operands, { lane }, type).data[0]);
    expect(words).toEqual(philox4x32([1, 2, 3, 0], [7, 8]));
  });
});
