/**
 * The order of the examples: each epoch a new permutation, each a function of (seed, epoch) alone. So the place in the
 * data is two numbers, which a checkpoint keeps, and neither batch size nor timing changes what comes next.
 *
 * The permutation is a Fisher–Yates shuffle by Philox words. A Feistel network would need no list in memory, but the
 * names of the examples are in memory anyway, and the shuffle reaches every order with the same probability.
 */
import { keyOf, philoxWords } from '../random.ts';
import { RuntimeError } from '../error.ts';

/** Epochs and examples before the next one to read. */
export interface Position {
  readonly epoch: number;
  readonly index: number;
}

export const START: Position = { epoch: 0, index: 0 };

/** Words computed at a time, at most; two are used for each place. */
const CHUNK = 4096;

/** All of 0 … count−1 in the order of an epoch. */
export const epochOrder = (seed: number, epoch: number, count: number): Uint32Array =>
  shuffled(seed, `order of epoch ${epoch}`, count);

/** All of 0 … count−1 in an order that is the seed's and the purpose's. */
export function shuffled(seed: number, purpose: string, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const key = keyOf(seed, purpose);
  const words = new Uint32Array(Math.min(CHUNK, Math.ceil(count / 2) * 4));
  for (let left = count, used = words.length, block = 0; left > 1; left--, used += 2) {
    if (used === words.length) {
      philoxWords(words, key, block);
      block += words.length / 4;
      used = 0;
    }
    // 53 random bits: the bias of one place over another is below count / 2^53.
    const random = (words[used] * 2 ** 21 + (words[used + 1] >>> 11)) * 2 ** -53;
    const pick = Math.floor(random * left);
    const last = order[left - 1];
    order[left - 1] = order[pick];
    order[pick] = last;
  }
  return order;
}

/** Whether an example is mirrored in an epoch: a fair coin for each (seed, epoch, example). */
export function flips(seed: number, epoch: number): (index: number) => boolean {
  const key = keyOf(seed, `flips of epoch ${epoch}`);
  const words = new Uint32Array(4);
  return (index) => {
    philoxWords(words, key, Math.floor(index / 4));
    return words[index % 4] >>> 31 === 1;
  };
}

/** The examples from a position on, without end. */
export function* examplesFrom(
  seed: number,
  count: number,
  { epoch, index }: Position,
): Generator<{ readonly at: Position; readonly example: number; readonly flip: boolean }, never> {
  for (; ; epoch++, index = 0) {
    const order = epochOrder(seed, epoch, count);
    const flip = flips(seed, epoch);
    for (; index < count; index++) yield { at: { epoch, index }, example: order[index], flip: flip(order[index]) };
  }
}

/** The position after this one. */
export const after = ({ epoch, index }: Position, count: number): Position =>
  index + 1 < count ? { epoch, index: index + 1 } : { epoch: epoch + 1, index: 0 };

/** Throws unless the position, perhaps from a file, lies in data of `count` examples. */
export function checkPosition({ epoch, index }: Position, count: number): void {
  const whole = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  if (whole(epoch) && whole(index) && index < count) return;
  throw new RuntimeError({
    code: 'mismatch',
    what: `the position in the data is epoch ${epoch}, example ${index}`,
    why: `the data has ${count} examples`,
    fix: 'give the data that the checkpoint was trained on, or begin the data anew',
  });
}
