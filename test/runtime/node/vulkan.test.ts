import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { driverManifests, withDriver } from '../../../runtime/node/vulkan.ts';

const folder = mkdtempSync(join(tmpdir(), 'ditc-test-vulkan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function manifest(...path: string[]): string {
  const file = join(folder, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, '{}');
  return file;
}

describe('driverManifests', () => {
  it('finds what the loader finds in its data folders, and nothing but manifests', () => {
    const icd = manifest('data', 'vulkan', 'icd.d', 'b.json');
    const other = manifest('data', 'vulkan', 'icd.d', 'a.json');
    const readme = manifest('data', 'vulkan', 'icd.d', 'README');
    const found = driverManifests({ XDG_DATA_DIRS: ['/nonexistent', join(folder, 'data')].join(delimiter) });
    expect(found.filter((file) => file.startsWith(folder))).toEqual([other, icd]);
    expect(found).not.toContain(readme);
  });

  it('is what the variables name and nothing else when they are set, as for the loader', () => {
    const file = manifest('own.json');
    expect(driverManifests({ VK_DRIVER_FILES: file })).toEqual([file]);
    expect(driverManifests({ VK_ICD_FILENAMES: [file, '/nonexistent.json'].join(delimiter) })).toEqual([file]);
    expect(driverManifests({ VK_DRIVER_FILES: '/nonexistent.json' })).toEqual([]);
  });

  it('adds what VK_ADD_DRIVER_FILES names', () => {
    const file = manifest('added.json');
    expect(driverManifests({ VK_ADD_DRIVER_FILES: file })).toContain(file);
  });
});

describe('withDriver', () => {
  it('sets both variables for the call alone, also when it throws', () => {
    const before = { ...process.env };
    const seen = withDriver('/x.json', () => [process.env.VK_DRIVER_FILES, process.env.VK_ICD_FILENAMES]);
    expect(seen).toEqual(['/x.json', '/x.json']);
    expect(() =>
      withDriver('/x.json', () => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect({ ...process.env }).toEqual(before);
  });
});
