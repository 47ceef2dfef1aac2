/** Values of options: parsed where they are given, so that a wrong one is told before any work is done. */
import type { Part } from '../runtime/checkpoint/trained.ts';
import { UsageError } from './errors.ts';

/** For commander's argument parser: a whole number in [least, most]. */
export function wholeNumber(option: string, least: number, most: number = Number.MAX_SAFE_INTEGER) {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new UsageError({ what: `${option} is ${text || 'empty'}`, fix: `give a whole number ${range}` });
  };
}

/** A finite number in [least, most]. */
export function realNumber(option: string, least = -Infinity, most = Infinity) {
  const isBounded = least > -Infinity && most < Infinity;
  const ends = [least > -Infinity && `of at least ${least}`, most < Infinity && `of at most ${most}`];
  const bounds = isBounded ? `from ${least} to ${most}` : ends.filter(Boolean).join('');
  return (text: string): number => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (Number.isFinite(value) && value >= least && value <= most) return value;
    const fix = ['give a number', bounds].filter(Boolean).join(' ');
    throw new UsageError({ what: `${option} is ${text || 'empty'}`, fix });
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** `4GB`, `512MiB`, `6e9`: in bytes. */
export function parseBytes(text: string, option: string): number {
  const [, number, unit] = /^\s*([\d.]+(?:e\d+)?)\s*([kmgt]i?)?b?\s*$/i.exec(text) ?? [];
  const value = Number(number) * UNITS[(unit ?? '').toLowerCase()];
  if (value > 0 && value < Infinity) return value;
  throw new UsageError({ what: `${option} is ${text || 'empty'}`, fix: 'give a size, such as 4GB or 512MiB' });
}

/** What `--memory` says, in bytes. */
export const memorySize = (text: string): number => parseBytes(text, '--memory');

/** One of a few words. */
export function oneOf<T extends string>(option: string, choices: readonly T[]) {
  return (text: string): T => {
    if (choices.includes(text as T)) return text as T;
    throw new UsageError({ what: `${option} is ${text || 'empty'}`, fix: `use ${choices.join(' or ')}` });
  };
}

/** `--dtype`: how weights, and what products read, are stored. */
export const precision = oneOf('--dtype', ['f32', 'f16']);

/** What `--weights` and `ditc convert` read. */
export const CHECKPOINT = '.safetensors, PyTorch .pt, .onnx, an index of shards, or the folder of one';

/** `--part`: which weights of a checkpoint that has several. */
export const PART = [
  '--part <part>',
  'of a checkpoint with both, ema (the moving average), model (the weights themselves), or ema-0.999 (the average of that decay, of ' +
    'ditc train --ema 0.9999,0.999); default: ema where there is one',
] as const;

export const part = (text: string): Part => {
  if (/^ema-\d/.test(text)) return text as Part;
  return oneOf('--part', ['ema', 'model'])(text);
};

/** `--on-mismatch`: what to do with weights of another model. */
export const ON_MISMATCH = [
  '--on-mismatch <what>',
  'of weights that are another model’s: refuse, or fit: take what fits, of tables the rows they share, positions resampled, and begin the ' +
    'rest anew (default: refuse)',
] as const;

export const onMismatch = oneOf('--on-mismatch', ['refuse', 'fit']);

/** `--allow-non-finite`: go on with values that are infinite or NaN. */
export const ALLOW_NON_FINITE = '--allow-non-finite';

/** The largest seed: whole numbers are exact up to there. */
export const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** For options that may be repeated. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

type Files = ReadonlyMap<string, string>;

/** `NAME=FILE`, once for each name. */
const collectFiles =
  (option: string, kind: string) =>
  (text: string, before: Files = new Map()): Files => {
    const [, name, file] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    const example = `write NAME=FILE.npy, such as ${option} x=x.npy`;
    if (!name) throw new UsageError({ what: `${option} is ${text}`, fix: example });
    if (before.has(name))
      throw new UsageError({ what: `${option} ${name} is given twice`, fix: `give each ${kind} once` });
    return new Map([...before, [name, file]]);
  };

export const collectInput = collectFiles('--input', 'input');
export const collectState = collectFiles('--state', 'state');
