/**
 * An error as the terminal shows it: the place, what is wrong, the line with the call underlined, why, and the fix.
 *
 *   my-model.ts:41:15 — matmul: inner sizes differ
 *      40 |   const q = …
 *      41 |   const s = q.matmul(w);
 *         |               ^^^^^^^^^  q is [2,256,1152], w is [1024,4608]: 1152 ≠ 1024
 *      fix: transpose w, or check hiddenSize
 */
import pc from 'picocolors';
import { DitcError } from '../ir/index.ts';
import { ModelTypeError, stripColor } from './check.ts';
import { callTrail } from './guard.ts';
import { readSource as readRemembered } from './sources.ts';

type Colors = ReturnType<typeof pc.createColors>;
export type ReadSource = (file: string) => string | undefined;

/** `why` moves to a line of its own when it would run past this column. */
const WIDTH = 120;

/** The terminal form of any error, without a trailing newline. */
export function formatDiagnostic(
  error: unknown,
  readSource: ReadSource = readRemembered,
  options: { color?: boolean } = {},
): string {
  const color = options.color ?? pc.isColorSupported;
  const c = pc.createColors(color);
  if (error instanceof ModelTypeError) {
    const text = color ? error.pretty : stripColor(error.pretty);
    return error.fix ? `${text}\n   ${c.green('fix:')} ${error.fix}` : text;
  }
  if (!(error instanceof DitcError)) return error instanceof Error ? (error.stack ?? String(error)) : String(error);
  const header = [error.where && c.cyan(error.where), c.bold(error.what)].filter(Boolean).join(c.dim(' — '));
  const frame = error.where ? codeFrame(error.where, error.why, readSource, c) : undefined;
  const lines = [header, ...(frame ?? whyLines(error.why))];
  for (const place of callTrail(error)) lines.push(`   ${c.dim('called from')} ${c.cyan(place)}`);
  if (error.fix) lines.push(`   ${c.green('fix:')} ${error.fix}`);
  return lines.join('\n');
}

const whyLines = (why: string | undefined): string[] => (why ? why.split('\n').map((line) => `   ${line}`) : []);

function codeFrame(where: string, why: string | undefined, readSource: ReadSource, c: Colors): string[] | undefined {
  const place = /^(.+):(\d+):(\d+)$/.exec(where);
  const source = place && readSource(place[1])?.split(/\r?\n/);
  if (!source) return undefined;
  const [line, column] = [Number(place[2]), Number(place[3])];
  const text = source[line - 1];
  if (text === undefined) return undefined;
  const width = Math.max(5, String(line).length + 3);
  const row = (number: number) =>
    `${c.dim(`${String(number).padStart(width)} |`)} ${source[number - 1].replaceAll('\t', ' ')}`;
  const before = line > 1 && source[line - 2].trim() ? [row(line - 1)] : [];
  const marks = '^'.repeat(callLength(text, column - 1));
  const gutter = `${' '.repeat(width)} ${c.dim('|')} ${' '.repeat(column - 1)}`;
  const room = WIDTH - width - 3 - column - marks.length - 2;
  const beside = why && !why.includes('\n') && why.length <= room;
  const underline = `${gutter}${c.red(marks)}${beside ? `  ${why}` : ''}`;
  return [...before, row(line), underline, ...(beside ? [] : whyLines(why))];
}

/** Length of the call (or name, or value of the IR) that starts at `start`, as far as it lies on this line; at least 1. */
export function callLength(text: string, start: number): number {
  const name = /^(?:%[\w$.]+|[\w$#]+)/.exec(text.slice(start))?.[0].length ?? 0;
  let end = start + name;
  const open = /^\s*(?:<[^()]*>)?\s*\(/.exec(text.slice(end));
  if (name && open) end = closing(text, end + open[0].length);
  return Math.max(1, end - start);
}

/** Where the parenthesis opened just before `from` closes, or where the line's code ends. */
function closing(text: string, from: number): number {
  let depth = 1;
  let quote = '';
  for (let i = from; i < text.length; i++) {
    const char = text[i];
    if (quote) {
      if (char === '\\') i++;
      else if (char === quote) quote = '';
    } else if (`'"\``.includes(char)) quote = char;
    else if ('([{'.includes(char)) depth++;
    else if (')]}'.includes(char) && --depth === 0) return i + 1;
  }
  return text.trimEnd().length;
}
