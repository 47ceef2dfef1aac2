/** Counter-based random bits: the same (seed, counter) gives the same bits on any device and in any order. */
import { defineOp, attrNumber, broadcastOrThrow, elementwise, expectArity, perElement, shapeError } from './define.ts';
import { PHILOX } from './wgsl-helpers.ts';

const ROUND_0 = 0xd2511f53;
const ROUND_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

const mulHi = (a: number, b: number): number => Number((BigInt(a) * BigInt(b)) >> 32n);

/** Philox 4×32-10 (Salmon et al. 2011). Four counter words and two key words in, four random words out. */
export function philox4x32(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map((c) => c >>> 0);
  let [k0, k1] = key.map((k) => k >>> 0);
  for (let round = 0; round < 10; round++) {
    const [hi0, lo0] = [mulHi(ROUND_0, c0), Math.imul(ROUND_0, c0) >>> 0];
    const [hi1, lo1] = [mulHi(ROUND_1, c2), Math.imul(ROUND_1, c2) >>> 0];
    [c0, c1, c2, c3] = [(hi1 ^ c1 ^ k0) >>> 0, lo1, (hi0 ^ c3 ^ k1) >>> 0, lo0];
    [k0, k1] = [(k0 + WEYL_0) >>> 0, (k1 + WEYL_1) >>> 0];
  }
  return [c0, c1, c2, c3];
}

const words = ([k0, k1, c0, c1, c2]: readonly string[]): string =>
  `philox(vec4u(${c0}, ${c1}, ${c2}, 0u), vec2u(${k0}, ${k1}))`;

export const philox = defineOp({
  name: 'philox',
  doc: 'Random u32 from a key of two words and a counter of three: word `lane` (0–3) of Philox 4×32-10 of (c0, c1, c2, 0).',
  kind: 'pointwise',
  type: (inputs, attrs) => {
    expectArity('philox', inputs, 5);
    const lane = attrNumber(attrs, 'lane');
    if (![0, 1, 2, 3].includes(lane)) throw shapeError('philox', 'lane is 0, 1, 2 or 3', `got ${lane}`);
    if (inputs.some((t) => t.dtype !== 'u32')) throw shapeError('philox', 'keys and counters are u32');
    return { dtype: 'u32', shape: broadcastOrThrow('philox', inputs) };
  },
  reference: (inputs, attrs, type) =>
    elementwise((k0, k1, c0, c1, c2) => philox4x32([c0, c1, c2, 0], [k0, k1])[attrNumber(attrs, 'lane')])(
      inputs,
      attrs,
      type,
    ),
  gradient: 'none',
  cost: perElement(120),
  sample: (random) => ({
    inputs: Array.from({ length: 5 }, () => ({ dtype: 'u32' as const, shape: [random.int(1, 2) === 1 ? 1 : 6] })),
    attrs: { lane: random.int(0, 3) },
    ranges: Array.from({ length: 5 }, () => [0, 2 ** 32] as const),
  }),
  wgsl: {
    expression: (operands, { attrs }) => `${words(operands)}.${'xyzw'[attrNumber(attrs, 'lane')]}`,
    vector: words,
    component: (attrs) => attrNumber(attrs, 'lane'),
    helper: PHILOX,
  },
});
