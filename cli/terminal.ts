/** Where a command writes: its result to stdout, all else (progress, warnings, errors) to stderr. */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import pc from 'picocolors';

export type Colors = ReturnType<typeof pc.createColors>;

export interface Terminal {
  /** The result, as text or as one JSON document. A newline is added. */
  out(text: string): void;
  /** What a script should not read. A newline is added. */
  err(text: string): void;
  /** Whether stderr shows progress bars. */
  readonly interactive: boolean;
  /** For text to stdout and to stderr. */
  readonly outColors: Colors;
  readonly errColors: Colors;
}

/** FORCE_COLOR and NO_COLOR (no-color.org) win over what the stream is. */
function wantsColor(stream: NodeJS.WriteStream): boolean {
  const { env } = process;
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export function processTerminal(): Terminal {
  process.stdout.on('error', onResultLost);
  // Progress and remarks that nobody can read any more are no reason to end the work.
  process.stderr.on('error', () => {});
  letGoOfTerminals();
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    interactive: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    outColors: pc.createColors(wantsColor(process.stdout)),
    errColors: pc.createColors(wantsColor(process.stderr)),
  };
}

const STANDARD = [0, 1, 2];

/** Node sets terminals back when it ends, and aborts where one has been closed meanwhile: unless the process closed it too. */
function letGoOfTerminals(): void {
  const terminals = STANDARD.filter((file) => isatty(file));
  process.on('exit', () => {
    for (const file of terminals) if (!isatty(file)) closeSync(file);
  });
}

/** A reader that went away (`ditc inspect … | head`, a terminal that was closed) has seen enough: the work goes on to its end. */
const READER_GONE = new Set(['EPIPE', 'EIO']);

let lost = false;

/** A result that could not be written, as to a full disk, is a failure, whatever else went well. */
function onResultLost(error: NodeJS.ErrnoException): void {
  if (READER_GONE.has(error.code ?? '') || lost) return;
  lost = true;
  process.stderr.write(`stdout — the result cannot be written: ${error.message}\n`);
  process.on('exit', () => (process.exitCode ||= 1));
}
