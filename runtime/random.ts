/**
 * The host's random numbers: Philox 4×32-10 (Salmon et al. 2011), the generator the kernels use too. Counter-based: element
 * i of a tensor depends on (seed, name, i) alone, so neither the order of tensors nor the size of chunks matters.
 */

/** Two key words. */
export type Key = readonly [number, number];

/** The key of a named stream: seed and name mixed by two FNV-1a lanes and a finaliser. `seed` is an integer below 2^53. */
export function keyOf(seed: number, name: string): Key {
  let a = (0x811c9dc5 ^ seed) >>> 0;
  let b = (0x9e3779b9 ^ Math.floor(seed / 2 ** 32) ^ Math.imul(seed, 0x85ebca6b)) >>> 0;
  for (let i = 0; i < name.length; i++) {
    a = Math.imul(a ^ name.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ name.charCodeAt(i), 0x5bd1e995);
  }
  return [finalise(a ^ (b >>> 15)), finalise(b ^ (a >>> 13))];
}

/** murmur3's finaliser: every input bit reaches every output bit. */
function finalise(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * Fills `out` with the words of blocks `block`, `block + 1`, …: four u32 per block, for the counter (block, 0, 0, 0). The
 * block index goes through the counter's first two words. `out.length` must be a multiple of 4.
 */
export function philoxWords(out: Uint32Array, key: Key, block: number): void {
  for (let i = 0; i < out.length; i += 4, block++) {
    let c0 = block | 0;
    let c1 = (block / 2 ** 32) | 0;
    let c2 = 0;
    let c3 = 0;
    let k0 = key[0] | 0;
    let k1 = key[1] | 0;
    for (let round = 0; round < 10; round++) {
      // The high words of 0xd2511f53·c0 and 0xcd9e8d57·c2, by 16-bit halves: JavaScript has no 32×32→64 multiplication.
      const low0 = c0 & 0xffff;
      const high0 = c0 >>> 16;
      const mid0 = (Math.imul(0xd251, low0) + (Math.imul(0x1f53, low0) >>> 16)) | 0;
      const cross0 = (Math.imul(0x1f53, high0) + (mid0 & 0xffff)) | 0;
      const hi0 = (Math.imul(0xd251, high0) + (mid0 >>> 16) + (cross0 >>> 16)) | 0;
      const low2 = c2 & 0xffff;
      const high2 = c2 >>> 16;
      const mid2 = (Math.imul(0xcd9e, low2) + (Math.imul(0x8d57, low2) >>> 16)) | 0;
      const cross2 = (Math.imul(0x8d57, high2) + (mid2 & 0xffff)) | 0;
      const hi2 = (Math.imul(0xcd9e, high2) + (mid2 >>> 16) + (cross2 >>> 16)) | 0;
      const lo0 = Math.imul(0xd2511f53, c0);
      const lo2 = Math.imul(0xcd9e8d57, c2);
      c0 = hi2 ^ c1 ^ k0;
      c1 = lo2;
      c2 = hi0 ^ c3 ^ k1;
      c3 = lo0;
      k0 = (k0 - 0x61c88647) | 0;
      k1 = (k1 - 0x4498517b) | 0;
    }
    out[i] = c0;
    out[i + 1] = c1;
    out[i + 2] = c2;
    out[i + 3] = c3;
  }
}

/** Blocks computed at a time: 16 KiB of words stay in the first-level cache. */
const BATCH_WORDS = 4096;
const words = new Uint32Array(BATCH_WORDS);

/** Calls `use` with the words of elements `start`, `start + 1`, … of a stream, batch by batch. `start` % 4 === 0. */
function eachBatch(length: number, key: Key, start: number, use: (at: number, count: number) => void): void {
  for (let at = 0; at < length; at += BATCH_WORDS) {
    const count = Math.min(BATCH_WORDS, length - at);
    philoxWords(count === BATCH_WORDS ? words : words.subarray(0, (count + 3) & ~3), key, (start + at) / 4);
    use(at, count);
  }
}

/** Elements `start`… of the stream as U(−bound, bound), in steps of 2^-31 of the bound, never exactly 0 or ±bound. */
export function fillUniform(out: Float32Array, key: Key, start: number, bound: number): void {
  const scale = bound * 2 ** -31;
  eachBatch(out.length, key, start, (at, count) => {
    for (let i = 0; i < count; i++) out[at + i] = (words[i] + 0.5) * scale - bound;
  });
}

/**
 * Elements `start`… of the stream as N(0, std²): Box–Muller, so at most 6.7 standard deviations out. log, cos and sin are the
 * engine's own: another engine than V8 may differ in the last bit.
 */
export function fillNormal(out: Float32Array, key: Key, start: number, std: number): void {
  eachBatch(out.length, key, start, (at, count) => {
    for (let i = 0; i < count; i += 2) {
      const radius = std * Math.sqrt(-2 * Math.log((words[i] + 0.5) * 2 ** -32));
      const angle = words[i + 1] * (2 * Math.PI * 2 ** -32);
      out[at + i] = radius * Math.cos(angle);
      if (i + 1 < count) out[at + i + 1] = radius * Math.sin(angle);
    }
  });
}
