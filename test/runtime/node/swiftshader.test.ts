import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { embeddedUnavailable, unpackEmbedded } from '../../../runtime/node/swiftshader.ts';
import { childCommand, runChild } from './children.ts';

const unavailable = embeddedUnavailable();
if (unavailable) console.warn(`SKIPPED: embedded GPU tests: ${unavailable}`);

describe.skipIf(unavailable !== null)('unpackEmbedded', () => {
  let cache: string;
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 'ditc-test-unpack-'));
    vi.stubEnv('XDG_CACHE_HOME', cache);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(cache, { recursive: true, force: true });
  });

  it('unpacks into the user’s cache, keyed by the package’s version, with a manifest that names the driver', () => {
    const { loader, manifest, version } = unpackEmbedded();
    expect(manifest).toBe(join(cache, 'ditc', `swiftshader-${version}`, 'icd.json'));
    const { ICD } = JSON.parse(readFileSync(manifest, 'utf8')) as { ICD: { library_path: string } };
    for (const file of [loader, ICD.library_path]) {
      expect(readFileSync(file).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    }
    // Libraries that this process loads: nobody else may write here.
    expect(statSync(join(cache, 'ditc')).mode & 0o777).toBe(0o700);
  });

  it('leaves a complete folder alone', () => {
    const { loader } = unpackEmbedded();
    const { ino, mtimeMs } = statSync(loader);
    expect(statSync(unpackEmbedded().loader)).toMatchObject({ ino, mtimeMs });
  });

  it.each(['icd.json', 'libvulkan.so.1'])('unpacks again when %s was cleaned away or spoilt', (name) => {
    const { manifest } = unpackEmbedded();
    const before = readFileSync(join(dirname(manifest), name));
    writeFileSync(join(dirname(manifest), name), '');
    unpackEmbedded();
    expect(readFileSync(join(dirname(manifest), name)).equals(before)).toBe(true);
  });

  it('falls back to the temporary folder where the cache cannot be written', () => {
    const file = join(cache, 'a file');
    writeFileSync(file, '');
    vi.stubEnv('XDG_CACHE_HOME', file);
    vi.stubEnv('TMPDIR', cache);
    expect(unpackEmbedded().manifest.startsWith(cache + '/ditc-')).toBe(true);
  });

  it('serves several processes that start at once on an empty cache', async () => {
    const env = { DITC_ADAPTER: 'embedded', XDG_CACHE_HOME: cache };
    const reports = await Promise.all([1, 2, 3].map(() => runChild(env, [], childCommand())));
    for (const { tests } of reports) expect(tests[0]).toMatchObject({ ok: true });
    // No half-unpacked folder stays behind.
    expect(readdirSync(join(cache, 'ditc'))).toEqual([expect.stringMatching(/^swiftshader-/)]);
  });
});
