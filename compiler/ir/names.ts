/**
 * What the entries, inputs, outputs, parameters and states of a model may be called. A name is a value in the text form, a
 * part of a comment in a kernel, and the stem of a file on any system: so it is said where the model gives it.
 */
import { DitcError } from './error.ts';

export type NameKind = 'entry' | 'input' | 'output' | 'param' | 'state';

interface Rule {
  readonly pattern: RegExp;
  readonly alphabet: string;
}

const VALUE: Rule = {
  pattern: /^[\p{L}_][\p{L}\d_.]*$/u,
  alphabet: 'letters, digits, _ and ., and begins with a letter',
};
const STORED: Rule = {
  pattern: /^[\p{L}\d_][\p{L}\d_.-]*$/u,
  alphabet: 'letters, digits, _, . and -, and begins with a letter or digit',
};
const RULES: Readonly<Record<NameKind, Rule>> = {
  entry: { pattern: /^[\p{L}_][\p{L}\d_]*$/u, alphabet: 'letters, digits and _, and begins with a letter' },
  input: VALUE,
  output: VALUE,
  param: STORED,
  state: STORED,
};

/** File systems take 255 bytes, of which suffixes need some. */
const MOST_BYTES = 200;

/** Windows keeps these for devices, whatever the case and the suffix. */
const DEVICES = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

export const isDeviceName = (name: string): boolean => DEVICES.test(name);

/** How file systems that do not tell case apart see a name. */
export const foldName = (name: string): string => name.normalize('NFC').toLowerCase();

/** Throws a DitcError `name` unless `name` may be the name of such a thing. */
export function checkName(kind: NameKind, name: unknown, where?: string): asserts name is string {
  const fail = (why: string, fix: string) =>
    new DitcError({ code: 'name', where, what: `${shown(name)} cannot be the name of ${a(kind)}`, why, fix });
  const { pattern, alphabet } = RULES[kind];
  const allowed = `a name has ${alphabet}`;
  if (typeof name !== 'string')
    throw fail(`it is ${name === null ? 'null' : `of type ${typeof name}`}`, 'give a string');
  if (!name) throw fail('it is empty', allowed);
  if (!pattern.test(name) || name === '__proto__') throw fail(`it has ${offender(name, pattern)}`, allowed);
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > MOST_BYTES) throw fail(`it takes ${bytes} bytes, and a name at most ${MOST_BYTES}`, 'shorten it');
  const isFile = kind === 'output' || kind === 'state';
  if (isFile && isDeviceName(name))
    throw fail('its values go to a file, and Windows keeps this name', 'choose another');
}

/** Throws unless no two of the names, of outputs or of states, would be one file where case is not told apart. */
export function checkFileNames(kind: 'output' | 'state', names: readonly string[], where?: string): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const other = seen.get(foldName(name));
    if (other !== undefined && other !== name) {
      const what = `${kind}s ${other} and ${name} differ in case only`;
      const why = 'their values go to files, which would be one on systems that do not tell case apart';
      throw new DitcError({ code: 'name', where, what, why, fix: 'give one of them another name' });
    }
    seen.set(foldName(name), name);
  }
}

const a = (kind: NameKind): string =>
  /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind === 'param' ? 'parameter' : kind}`;

const shown = (name: unknown): string => {
  const text = typeof name === 'string' ? JSON.stringify(name) : String(name);
  return text.length > 60 ? `${text.slice(0, 56)}…"` : text;
};

/** The first character that the rule does not allow, in a way that can be read. */
function offender(name: string, pattern: RegExp): string {
  const at = [...name].findIndex((_, i, all) => !pattern.test(all.slice(0, i + 1).join('')));
  const char = [...name][at] ?? '';
  const visible = /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(char) ? char : JSON.stringify(char);
  return at === 0 ? `${visible} at its beginning` : visible === '" "' ? 'a space' : visible;
}
