/** Checks of model configurations and options: each failure says which key, what it must be, and what it was. */
import { DitcError } from '../compiler/dsl/index.ts';

/** A configuration that no model can be built from. */
export function misconfigured(what: string, why?: string, fix?: string): DitcError {
  return new DitcError({ code: 'config', what, why, fix });
}

/** Throws when `given` has a key that `known` lacks, naming those that may be meant, and the keys there are. */
export function rejectUnknownKeys(model: string, given: object, known: object): void {
  const keys = Object.keys(known);
  const unknown = Object.keys(given).filter((key) => !Object.hasOwn(known, key));
  if (!unknown.length) return;
  const near = unknown.map((key) => [key, kinOf(key, keys)] as const).filter(([, kin]) => kin.length);
  const guesses = near.map(([key, kin]) => `${unknown.length > 1 ? `for ${key}, ` : ''}did you mean ${either(kin)}? `);
  const fix = `${guesses.join('')}use ${keys.join(', ')}`;
  throw misconfigured(`${model}: unknown key ${unknown.join(', ')}`, undefined, fix);
}

const wordsOf = (key: string): string[] =>
  (key.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+/g) ?? []).map((word) => word.toLowerCase());

/** Keys that mean a thing of the same kind: `hidden_size` is hiddenSize in another spelling, outChannels is of some kind of channels. */
function kinOf(key: string, known: readonly string[]): string[] {
  const words = wordsOf(key);
  const same = known.filter((other) => wordsOf(other).join('') === words.join(''));
  const kind = words.at(-1);
  return same.length ? same : known.filter((other) => wordsOf(other).at(-1) === kind);
}

const either = (choices: readonly string[]): string =>
  [choices.slice(0, -1).join(', '), choices.at(-1)].filter(Boolean).join(' or ');

export function oneOf<T>(name: string, value: unknown, choices: readonly T[], why?: string): T {
  if (choices.includes(value as T)) return value as T;
  throw misconfigured(`${name} is ${JSON.stringify(value)}`, why, `use one of ${choices.join(', ')}`);
}

export function wholeNumber(name: string, value: unknown, least = 1): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw misconfigured(`${name} is ${JSON.stringify(value)}`, undefined, `give a whole number of at least ${least}`);
}

/** A finite number in [least, most]. */
export function realNumber(name: string, value: unknown, least = -Infinity, most = Infinity): number {
  if (Number.isFinite(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const range = [least > -Infinity && ` of at least ${least}`, most < Infinity && ` of at most ${most}`];
  throw misconfigured(`${name} is ${String(value)}`, undefined, `give a number${range.filter(Boolean).join(' and')}`);
}

/** Throws unless `part` divides `whole` evenly. */
export function divides(part: [name: string, size: number], whole: [name: string, size: number], fix: string): void {
  if (whole[1] % part[1] === 0) return;
  throw misconfigured(`${whole[0]} is not divisible by ${part[0]}`, `${whole[1]} / ${part[1]} leaves a rest`, fix);
}
