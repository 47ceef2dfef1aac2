/**
 * A strict JSON parser for file headers. JSON.parse would silently keep the last of two equal keys, and two readers that
 * disagree about which one counts read two different checkpoints from one file; so duplicates are errors here.
 */
import { RuntimeError, quote } from '../error.ts';

/** An object is a Map, so a key such as `__proto__` is only a key. */
export type Json = null | boolean | number | string | Json[] | Map<string, Json>;

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
// Escapes are only delimited here; JSON.parse decodes and checks each string.
const PLAIN = /[^"\\\u0000-\u001f]*/y;

/** Parses one JSON text. `maxDepth` bounds nesting; errors carry the position in characters. */
export function parseJson(text: string, where: string, maxDepth = 8): Json {
  let at = 0;

  function fail(why: string): never {
    throw new RuntimeError({
      code: 'bad-format',
      where,
      what: `the JSON header is malformed at character ${at}`,
      why,
      fix: 'the file is damaged or was written by a broken tool: download or write it again',
    });
  }
  function match(pattern: RegExp): string {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return '';
    at = pattern.lastIndex;
    return found[0];
  }
  function take(token: string): boolean {
    match(SPACE);
    if (!text.startsWith(token, at)) return false;
    at += token.length;
    return true;
  }
  function expect(token: string): void {
    if (!take(token)) fail(`expected ${token}, found ${at < text.length ? quote(text[at]) : 'the end'}`);
  }
  function string(): string {
    const start = at;
    expect('"');
    for (;;) {
      match(PLAIN);
      if (text[at] !== '\\') break;
      at += 2;
    }
    if (text[at] !== '"') fail('a string is not closed');
    at++;
    try {
      return JSON.parse(text.slice(start, at).trimStart()) as string;
    } catch {
      return fail('a string has an invalid escape');
    }
  }
  function object(depth: number): Map<string, Json> {
    const out = new Map<string, Json>();
    if (take('}')) return out;
    do {
      const key = string();
      if (out.has(key)) fail(`the key ${quote(key)} appears twice`);
      expect(':');
      out.set(key, value(depth));
    } while (take(','));
    expect('}');
    return out;
  }
  function array(depth: number): Json[] {
    const out: Json[] = [];
    if (take(']')) return out;
    do out.push(value(depth));
    while (take(','));
    expect(']');
    return out;
  }
  function value(depth: number): Json {
    if (depth > maxDepth) fail(`it is nested deeper than ${maxDepth} levels`);
    if (take('{')) return object(depth + 1);
    if (take('[')) return array(depth + 1);
    if (take('true')) return true;
    if (take('false')) return false;
    if (take('null')) return null;
    if (text[at] === '"') return string();
    const number = match(NUMBER);
    if (number === '') fail(`expected a value, found ${at < text.length ? quote(text[at]) : 'the end'}`);
    return Number(number);
  }

  const result = value(0);
  match(SPACE);
  if (at < text.length) fail('text follows the JSON value');
  return result;
}
