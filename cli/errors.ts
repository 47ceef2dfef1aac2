/** Errors as the command line tells them: one form for the compiler's, the runtime's and its own, and the exit code. */
import { CommanderError } from 'commander';
import { DitcError } from '../compiler/ir/error.ts';
import { RuntimeError } from '../runtime/error.ts';
import { fileError } from '../library/file-error.ts';
import { UsageError } from '../library/usage-error.ts';
import type { Terminal } from './terminal.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

export { UsageError };

const BUG = 'this is a bug in ditc; run it again with DITC_DEBUG=1 for the stack, and report both';

/** Any error as a DitcError. One that nobody foresaw is `internal`. */
function normalise(error: unknown): DitcError {
  if (error instanceof DitcError) return error;
  if (error instanceof RuntimeError) {
    const { code, what, where, why, fix } = error;
    return new DitcError({ code, what, where, why, fix }, { cause: error });
  }
  if (error instanceof CommanderError) return new UsageError({ what: error.message.replace(/^error: /, '') });
  const { syscall, path, name, message } = error as NodeJS.ErrnoException;
  if (syscall && path) return fileError(path, `cannot ${syscall} it`, error);
  const what = error instanceof Error ? `${name}: ${message.trim()}` : String(error);
  return new DitcError({ code: 'internal', what, fix: BUG }, { cause: error });
}

/** A bug of the compiler comes with a file that shows it again. */
async function known(error: DitcError): Promise<DitcError> {
  if (error.code !== 'internal' || !('reproducer' in error)) return error;
  const { CompilerBug } = await import('../compiler/emit/reproducer.ts');
  return error instanceof CompilerBug ? (await import('./reproducer.ts')).withReproducer(error) : error;
}

/** An error for scripts. */
export const errorJson = ({ code, what, where, why, fix }: DitcError) => ({ code, what, where, why, fix });

/** Prints an error, as JSON on stdout where the command was asked for JSON, and gives the exit code. */
export async function reportError(error: unknown, terminal: Terminal, json: boolean): Promise<number> {
  const shown = await known(normalise(error));
  if (json) {
    terminal.out(JSON.stringify({ error: errorJson(shown) }, null, 2));
  } else {
    // Loaded late: with it comes the compiler's frontend, which a mistyped option should not wait for.
    const text =
      shown instanceof UsageError
        ? usageText(shown, terminal)
        : (await import('../compiler/frontend/index.ts')).formatDiagnostic(shown, undefined, {
            color: terminal.errColors.isColorSupported,
          });
    terminal.err(text);
  }
  if (process.env.DITC_DEBUG === '1') terminal.err(`\n${stackOf(error)}`);
  return shown instanceof UsageError ? EXIT.usage : EXIT.failed;
}

function usageText({ where, what, why, fix }: UsageError, { errColors: c }: Terminal): string {
  const lines = [[where && c.cyan(where), c.bold(what)].filter(Boolean).join(c.dim(' — '))];
  if (why) lines.push(...why.split('\n').map((line) => `   ${line}`));
  if (fix) lines.push(`   ${c.green('fix:')} ${fix}`);
  return lines.join('\n');
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.stack}\ncaused by ${stackOf(error.cause)}` : String(error.stack);
}
