/** Puts the reproducer of a compiler bug where the user finds it: a file of its own in the folder for temporary files. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompilerBug } from '../compiler/emit/reproducer.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { writeAtomically } from '../runtime/node/file.ts';
import { fileError } from '../library/file-error.ts';

/** The bug as an error that names the file, or says why there is none. The file is whole or not there. */
export async function withReproducer(bug: CompilerBug): Promise<DitcError> {
  const { code, what, where, why, fix } = bug;
  const text = [why, `reproducer: ${await written(bug)}`].filter(Boolean).join('\n');
  return new DitcError({ code, what, where, why: text, fix }, { cause: bug });
}

async function written({ part, reproducer }: CompilerBug): Promise<string> {
  try {
    const folder = await mkdtemp(join(tmpdir(), 'ditc-'));
    const path = join(folder, `${part.replace(/[^\w-]/g, '_')}.ir`);
    await writeAtomically(path, (write) => write(Buffer.from(reproducer)));
    return `${path} — ditc opt ${path}`;
  } catch (error) {
    return `none, for ${tmpdir()} cannot be written: ${fileError(tmpdir(), '', error).why}`;
  }
}
