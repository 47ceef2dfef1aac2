/** Temporary model files, in a folder outside the repository. */
import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { guard, type LoadedModel } from '../../../compiler/frontend/index.ts';
import { DitcError, type Graph } from '../../../compiler/ir/index.ts';

/** A folder that is gone after the tests of the file that asked for it (helpers/temporary.ts). */
export function scratchFolder(): (files: Record<string, string>) => string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'ditc-frontend-')));
  let count = 0;
  return (files) => {
    const folder = join(root, String(count++));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return folder;
  };
}

/** A model file whose `forward` has this body; the body starts on line 4. */
export const modelText = (body: string, imports = ''): string => `import { defineModel, silu } from 'ditc/dsl';
${imports}
export default defineModel({ config: {}, entries: { forward(e) {
${body}
} } });
`;

export const traced = (loaded: LoadedModel): Graph =>
  guard(loaded, () => traceEntry(loaded.model, 'forward', { batch: 2 })).graph;

/** The DitcError that `run` throws. */
export function errorOf(run: () => unknown): DitcError {
  try {
    run();
  } catch (error) {
    if (error instanceof DitcError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
