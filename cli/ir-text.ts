/** Text of graphs from outside: a file, or standard input. */
import { readFile, stat } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { CompilerBug } from '../compiler/emit/reproducer.ts';
import { rememberText } from '../compiler/frontend/index.ts';
import { DitcError } from '../compiler/ir/index.ts';
import { fileError } from '../library/file-error.ts';

/** Parsing takes half a kilobyte of memory for each byte of the text. All entries of the largest model are 1.5 MB. */
const MAX_BYTES = 4 * 2 ** 20;

export interface NamedText {
  /** For places in it. */
  readonly name: string;
  readonly text: string;
}

/** `-` is standard input. */
export async function readText(path: string): Promise<NamedText> {
  const name = path === '-' ? '<stdin>' : path;
  try {
    if (path !== '-') checkSize(name, (await stat(path)).size);
    const text = path === '-' ? await readStream(process.stdin) : await readFile(path, 'utf8');
    checkSize(name, text.length);
    rememberText(name, text);
    return { name, text };
  } catch (error) {
    throw fileError(name, 'cannot read the graphs', error);
  }
}

function checkSize(where: string, size: number): void {
  if (size <= MAX_BYTES) return;
  const why = `it has ${size} bytes; at most ${MAX_BYTES} are read`;
  throw new DitcError({
    code: 'limit',
    where,
    what: 'the text is too large',
    why,
    fix: 'take one entry, or fewer layers',
  });
}

/** Runs `body` on a text. A compiler bug of which the text is the reproducer already needs no other file. */
export function knownBug(name: string, text: string, body: (text: string) => string): string {
  try {
    return body(text);
  } catch (error) {
    if (!(error instanceof CompilerBug) || error.reproducer !== text) throw error;
    const { code, what, where, why } = error;
    const fix = `this is the bug in ditc that ${name} was written for; DITC_DEBUG=1 shows the stack`;
    throw new DitcError({ code, what, where, why, fix }, { cause: error });
  }
}
