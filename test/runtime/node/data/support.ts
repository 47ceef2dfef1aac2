/** Shared by the data tests: scratch folders and small files. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodePng } from '../../../../cli/pictures.ts';
import { encodeNpy, type NpyArray } from '../../../../runtime/checkpoint/npy.ts';
import { RuntimeError } from '../../../../runtime/error.ts';

export const PICTURES = fileURLToPath(new URL('../../../golden/data/pictures/', import.meta.url));

/** A new folder with these files, removed after the tests (helpers/temporary.ts). */
export function folderOf(files: Record<string, Uint8Array | string>): string {
  const root = mkdtempSync(join(tmpdir(), 'ditc-data-'));
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return root;
}

/** A PNG of one grey. */
export const flat = (level: number, width = 8, height = 8): Uint8Array =>
  encodePng({ width, height, channels: 1, pixels: new Uint8Array(width * height).fill(level) });

export const npy = (dtype: NpyArray['dtype'], shape: number[], data: NpyArray['data']): Uint8Array =>
  encodeNpy({ dtype, shape, data });

/** The RuntimeError that `action` throws; any other outcome fails the test. */
export async function failure(action: () => Promise<unknown>): Promise<RuntimeError> {
  const outcome = await action().catch((error: unknown) => error);
  if (outcome instanceof RuntimeError) return outcome;
  throw new Error(`expected a RuntimeError, got ${String(outcome)}`, { cause: outcome });
}
