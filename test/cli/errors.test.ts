/**
 * What errors look like, whoever throws them; and that docs/errors.md knows every code.
 * @once
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterEach, describe, expect, it } from 'vitest';
import { reportError, UsageError } from '../../cli/errors.ts';
import { fileError } from '../../library/file-error.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { REPO } from './cli.ts';

async function reported(error: unknown, json = false) {
  let [out, err] = ['', ''];
  const colors = pc.createColors(false);
  const terminal = {
    out: (text: string) => void (out += `${text}\n`),
    err: (text: string) => void (err += `${text}\n`),
    interactive: false,
    outColors: colors,
    errColors: colors,
  };
  return { code: await reportError(error, terminal, json), out, err };
}

describe('an error', () => {
  const parts = { code: 'mismatch', what: 'it does not fit', where: 'w.pt', why: 'one\ntwo', fix: 'try another' };
  const text = 'w.pt — it does not fit\n   one\n   two\n   fix: try another\n';

  it('of the compiler and of the runtime look the same', async () => {
    expect(await reported(new DitcError(parts))).toEqual({ code: 1, out: '', err: text });
    expect(await reported(new RuntimeError(parts))).toEqual({ code: 1, out: '', err: text });
  });

  it('of use has exit code 2', async () => {
    const { code, ...rest } = parts;
    expect(await reported(new UsageError(rest))).toEqual({ code: 2, out: '', err: text });
    expect(code).toBe('mismatch');
  });

  it('is one JSON document when the command prints JSON', async () => {
    const { code, out, err } = await reported(new RuntimeError(parts), true);
    expect({ code, err }).toEqual({ code: 1, err: '' });
    expect(JSON.parse(out)).toEqual({ error: parts });
  });

  it('of the file system says what the code means', async () => {
    const failure = Object.assign(new Error('EROFS: read-only'), { code: 'EROFS', syscall: 'open', path: '/x' });
    expect((await reported(failure)).err).toBe(
      '/x — cannot open it\n   the file system is read-only (EROFS)\n   fix: write to another folder\n',
    );
    expect(fileError('p', 'cannot write it', new DitcError(parts)).where).toBe('w.pt');
  });

  describe('that nobody foresaw', () => {
    afterEach(() => void delete process.env.DITC_DEBUG);

    it('is one line and a hint, with the stack on request', async () => {
      const error = new TypeError('x is undefined');
      const { code, err } = await reported(error);
      expect(code).toBe(1);
      expect(err).toMatch(/^TypeError: x is undefined\n {3}fix: this is a bug in ditc; .*DITC_DEBUG=1.*\n$/);
      process.env.DITC_DEBUG = '1';
      expect((await reported(error)).err).toContain('errors.test.ts');
      expect((await reported('just text')).err).toContain('just text');
    });
  });
});

describe('docs/errors.md', () => {
  const files = ['compiler', 'models', 'runtime', 'library', 'cli'].flatMap((folder) =>
    readdirSync(join(REPO, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(REPO, folder, name), 'utf8')),
  );
  const documented = new Set(
    [...readFileSync(join(REPO, 'docs/errors.md'), 'utf8').matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
      [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code),
    ),
  );

  it('explains every code that is thrown', () => {
    const thrown = files.flatMap((text) => [...text.matchAll(/\bcode: '([a-z-]+)'/g)].map(([, code]) => code));
    expect([...new Set(thrown)].filter((code) => !documented.has(code))).toEqual([]);
  });

  it('explains no code that is not', () => {
    expect([...documented].filter((code) => !files.some((text) => text.includes(`'${code}'`)))).toEqual([]);
  });
});
