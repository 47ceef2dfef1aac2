/** A few of the tries of files.ts. */
import { expect, it } from 'vitest';
import { fuzzFiles } from './files.ts';

it('a damaged file gives the values that it had, or an error that names it', async () => {
  const faults: string[] = [];
  const table = await fuzzFiles(1500, 1, (fault) => void faults.push(fault));
  expect(faults).toEqual([]);
  // Tries that are all refused would show little.
  for (const format of ['.pt', '.npz', 'safetensors']) expect(table.get(format)!.same).toBeGreaterThan(0);
}, 240_000);
