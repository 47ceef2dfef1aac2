/** Damage: what happens to files on disks, in transit and in the hands of those who wish ill. */
import type { Random } from '../../compiler/ops/index.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The bytes with one to four pieces of damage; `donor` is where spliced pieces come from. */
export function mutateBytes(random: Random, bytes: Uint8Array, donor = bytes): Uint8Array {
  let mutated = bytes;
  for (let n = random.int(1, 4); n > 0; n--) mutated = random.pick(DAMAGE)(random, mutated, donor);
  return mutated;
}

type Damage = (random: Random, bytes: Uint8Array, donor: Uint8Array) => Uint8Array;

const DAMAGE: readonly Damage[] = [
  (random, bytes) => at(random, bytes, (byte) => byte ^ (1 << random.int(0, 7))),
  (random, bytes) => at(random, bytes, () => random.int(0, 255)),
  (random, bytes) => at(random, bytes, () => random.pick([0, 0x0a, 0x22, 0x2d, 0x2f, 0x5c, 0x7f, 0xff])),
  (random, bytes) => bytes.slice(0, random.int(0, bytes.length)),
  (random, bytes) => splice(bytes, stretch(random, bytes), new Uint8Array()),
  (random, bytes) => splice(bytes, [random.int(0, bytes.length), 0], piece(random, bytes)),
  (random, bytes, donor) => splice(bytes, stretch(random, bytes), piece(random, donor)),
  (random, bytes) =>
    splice(bytes, stretch(random, bytes), new Uint8Array(random.int(0, 64)).fill(random.pick([0, 0xff]))),
  (random, bytes) => {
    const [from, length] = stretch(random, bytes);
    const moved = bytes.slice(from, from + length);
    const rest = splice(bytes, [from, length], new Uint8Array());
    return splice(rest, [random.int(0, rest.length), 0], moved);
  },
];

function at(random: Random, bytes: Uint8Array, change: (byte: number) => number): Uint8Array {
  if (!bytes.length) return bytes;
  const place = random.int(0, bytes.length - 1);
  return bytes.with(place, change(bytes[place]));
}

function splice(bytes: Uint8Array, [from, length]: readonly [number, number], piece: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes.subarray(0, from), ...piece, ...bytes.subarray(from + length)]);
}

function stretch(random: Random, bytes: Uint8Array): readonly [from: number, length: number] {
  const from = random.int(0, bytes.length);
  return [from, Math.min(random.int(1, 80), bytes.length - from)];
}

const piece = (random: Random, bytes: Uint8Array): Uint8Array => {
  const [from, length] = stretch(random, bytes);
  return bytes.slice(from, from + length);
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text with damage that mostly still reads as text of its kind: numbers, words and lines change, come twice, trade places. */
export function mutateText(random: Random, text: string): string {
  if (random.next() < 0.3) return decoder.decode(mutateBytes(random, encoder.encode(text)));
  let mutated = text;
  for (let n = random.int(1, 3); n > 0; n--) mutated = random.pick(EDITS)(random, mutated);
  return mutated;
}

const NUMBERS = [
  '0',
  '-1',
  '1',
  '2',
  '0.5',
  '1e9',
  '2147483648',
  '9007199254740993',
  '1e400',
  '-0',
  'NaN',
  'Infinity',
  '',
];

const EDITS: readonly ((random: Random, text: string) => string)[] = [
  (random, text) => replaceOne(random, text, /-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g, () => random.pick(NUMBERS)),
  (random, text) => {
    const words = text.match(/[%@]?[\p{L}_][\p{L}\d_.]*/gu) ?? [''];
    return replaceOne(random, text, /[%@]?[\p{L}_][\p{L}\d_.]*/gu, () => random.pick(words));
  },
  (random, text) =>
    replaceOne(random, text, /[[\](){},:=]/g, () => random.pick(['[', ']', '(', ')', '{', '}', ',', ':', '='])),
  (random, text) => lines(text, (all) => all.toSpliced(random.int(0, all.length - 1), 1)),
  (random, text) => lines(text, (all) => all.toSpliced(random.int(0, all.length), 0, random.pick(all))),
  (random, text) => {
    return lines(text, (all) => {
      const [i, j] = [random.int(0, all.length - 1), random.int(0, all.length - 1)];
      return all.with(i, all[j]).with(j, all[i]);
    });
  },
];

const lines = (text: string, change: (all: string[]) => string[]): string => change(text.split('\n')).join('\n');

function replaceOne(random: Random, text: string, pattern: RegExp, by: () => string): string {
  const found = [...text.matchAll(pattern)];
  if (!found.length) return text;
  const { index, 0: old } = random.pick(found);
  return text.slice(0, index) + by() + text.slice(index + old.length);
}

const HOSTILE: readonly Json[] = [
  null, true, 0, -1, 1, 0.5, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, '', '../../x', '/etc/passwd', 'a\nb', 'a\0b', '__proto__', 'constructor',
  [], [[]], {}, [-1], [2 ** 40, 2 ** 40],
]; // prettier-ignore

/** JSON of another shape or with other values, at one to three places. */
export function mutateJson(random: Random, value: Json): Json {
  const copy = structuredClone(value);
  for (let n = random.int(1, 3); n > 0; n--) change(random, copy);
  return copy;
}

/** Changes something below `value`: walks down by chance, and there replaces, removes, doubles or swaps. */
function change(random: Random, value: Json): void {
  if (typeof value !== 'object' || value === null) return;
  const keys = Object.keys(value);
  if (!keys.length) return;
  const key = random.pick(keys);
  const slots = value as Record<string, Json>;
  const inner = slots[key];
  if (typeof inner === 'object' && inner !== null && Object.keys(inner).length && random.next() < 0.85)
    return change(random, inner);
  const other = random.pick(keys);
  const action = random.int(0, 4);
  if (action === 0 && !Array.isArray(value)) delete slots[key];
  else if (action === 0) (value as Json[]).splice(Number(key), 1);
  else if (action === 1 && Array.isArray(value)) value.push(structuredClone(inner));
  else if (action === 2) [slots[key], slots[other]] = [slots[other], slots[key]];
  else if (action === 3 && typeof inner === 'number')
    slots[key] = random.pick([inner + 1, inner - 1, inner * 2, -inner, inner * 1e9]);
  else slots[key] = structuredClone(random.pick(HOSTILE));
}
