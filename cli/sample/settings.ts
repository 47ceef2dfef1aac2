/** What `ditc sample` is told about the process, over the model file's own. */
import type { Model } from '../../compiler/dsl/model.ts';
import { UsageError } from '../errors.ts';
import { wholeNumber } from '../options.ts';

export interface Settings {
  readonly steps?: number;
  readonly sampler?: string | true;
  readonly eta?: number;
  readonly cfg?: number;
  readonly cfgChannels?: number | 'all';
  readonly cfgInterval?: [number, number];
}

/** By the names that models know. */
export const SETTINGS = [
  'steps',
  'sampler',
  'eta',
  'cfg',
  'cfgChannels',
  'cfgInterval',
] as const satisfies (keyof Settings)[];

/** `--cfg-channels`: a count, or `all`; 4 is all of them too. */
export const channels = (text: string): number | 'all' =>
  text === 'all' ? text : wholeNumber('--cfg-channels', 1)(text);

/** `--cfg-interval`: two numbers in order, from 0 to 1. */
export function shares(text: string): [number, number] {
  const [, from, to] = (/^([\d.]+)-([\d.]+)$/.exec(text) ?? []).map(Number);
  if (from <= to && to <= 1) return [from, to];
  throw new UsageError({
    what: `--cfg-interval is ${text || 'empty'}`,
    fix: 'give two numbers in order, such as 0.1-0.8',
  });
}

/** Throws unless a word that an option is given is one that the model has. */
function checkChoice(
  option: string,
  given: string | true | undefined,
  known: readonly string[] = [],
  name: string,
): void {
  if (given === undefined || (given !== true && (!known.length || known.includes(given)))) return;
  const what = given === true ? `${option} is empty` : `${option}: ${name} has no ${given}`;
  throw new UsageError({ what, fix: known.length ? `use ${known.join(' or ')}` : `give one that ${name} knows` });
}

/** Options of the sampling entries: the command's, over the model file's. */
export function settingsOf(name: string, model: Model, asked: Settings): Record<string, unknown> {
  const { sampler, eta } = asked;
  const given = SETTINGS.filter((setting) => asked[setting] !== undefined);
  const settings: Record<string, unknown> = {
    ...model.options,
    ...Object.fromEntries(given.map((setting) => [setting, asked[setting]])),
  };
  checkChoice('--sampler', sampler, model.choices?.sampler, name);
  if (eta !== undefined && settings.sampler !== 'ddim') {
    throw new UsageError({
      what: '--eta is a setting of ddim',
      why: `the sampler is ${settings.sampler}`,
      fix: 'leave --eta out, or add --sampler ddim where the model has it',
    });
  }
  return settings;
}
