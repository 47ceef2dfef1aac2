/**
 * The committed artefact of dit-xl is what the compiler emits: each kind of file by itself, so that a change of one (a colour of the
 * report) neither hides nor causes a failure about another (WGSL).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildFiles } from '../../cli/build-files.ts';
import { compile, loadModel } from '../../cli/model.ts';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { PORTABLE } from '../../compiler/device.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'codegen-out/dit-xl');
const AGAIN = 'run npx ditc build models/dit-xl.ts, look at the difference, and commit it';

type Files = ReadonlyMap<string, Buffer>;

/** Where one set of files is not the other: a line for each file, none where they agree. */
function differences(committed: Files, emitted: Files): string[] {
  return [...new Set([...committed.keys(), ...emitted.keys()])].sort().flatMap((name) => {
    const [before, now] = [committed.get(name), emitted.get(name)];
    if (!now) return `${name} is committed, and not emitted any more`;
    if (!before) return `${name} is emitted, and not committed`;
    if (before.equals(now)) return [];
    const [old, fresh] = [before, now].map((bytes) => bytes.toString('utf8').split('\n'));
    const at = fresh.findIndex((line, i) => line !== old[i]);
    const alike = code(name, old) === code(name, fresh) ? ', in comments only' : '';
    return `${name} differs from line ${at < 0 ? fresh.length + 1 : at + 1} on${alike}`;
  });
}

/** Without the lines of comments that WGSL begins with: they name lines of the model. */
const code = (name: string, lines: readonly string[]): string =>
  lines.filter((line) => !name.endsWith('.wgsl') || !line.startsWith('//')).join('\n');

const among = (files: Files, isMeant: (name: string) => boolean): Files =>
  new Map([...files].filter(([name]) => isMeant(name)));

/** The manifest without the digests of all files, which change with any of them. */
function bare(files: Files): Files {
  const { files: _files, digest: _digest, ...manifest } = JSON.parse(String(files.get('manifest.json'))) as Manifest;
  return new Map([['manifest.json', Buffer.from(JSON.stringify(manifest, null, 2))]]);
}

describe('codegen-out/dit-xl', () => {
  let committed: Files;
  let emitted: Files;
  beforeAll(() => {
    const loaded = loadModel(join(ROOT, 'models/dit-xl.ts'));
    const compiled = compile(loaded, { device: PORTABLE, entryOptions: { batch: 1 } });
    const bytes = [...buildFiles(loaded, compiled, PORTABLE)].map(
      ([name, content]) => [name, Buffer.from(content)] as const,
    );
    emitted = new Map(bytes);
    const names = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
    const written = names.filter((name) => statSync(join(FOLDER, name)).isFile());
    committed = new Map(written.map((name) => [name, readFileSync(join(FOLDER, name))]));
  });

  const KINDS: Record<string, (name: string) => boolean> = {
    kernels: (name) => name.startsWith('kernels/'),
    graphs: (name) => name === 'graph.ir',
    'bindings and constants': (name) => /^(index\.ts|constants\.safetensors)$/.test(name),
    remarks: (name) => name === 'remarks.json',
    report: (name) => name === 'report.html',
  };
  it.each(Object.keys(KINDS))('has the %s that are emitted', (kind) => {
    expect(differences(among(committed, KINDS[kind]), among(emitted, KINDS[kind])), AGAIN).toEqual([]);
  });

  it('has the manifest that is emitted', () => {
    expect(differences(bare(committed), bare(emitted)), AGAIN).toEqual([]);
  });

  it('has no other files, and its manifest knows each by its content', () => {
    const known = (name: string) => name === 'manifest.json' || Object.values(KINDS).some((isMeant) => isMeant(name));
    expect([...committed.keys(), ...emitted.keys()].filter((name) => !known(name))).toEqual([]);
    const { files = {} } = JSON.parse(String(committed.get('manifest.json'))) as Manifest;
    const others = [...committed].filter(([name]) => name !== 'manifest.json');
    const digests = others.map(
      ([name, content]) => [name, createHash('sha256').update(content).digest('hex')] as const,
    );
    expect(Object.fromEntries(digests)).toEqual(files);
  });

  it('is told file by file', () => {
    const files = (content: Record<string, string>): Files =>
      new Map(Object.entries(content).map(([name, text]) => [name, Buffer.from(text)]));
    const before = files({ 'kernels/a.wgsl': '1\n2', 'kernels/b.wgsl': '// x:1\nf', 'kernels/c.wgsl': '' });
    const now = files({ 'kernels/a.wgsl': '1\n3', 'kernels/b.wgsl': '// x:2\nf', 'kernels/d.wgsl': '' });
    expect(differences(before, now)).toEqual([
      'kernels/a.wgsl differs from line 2 on',
      'kernels/b.wgsl differs from line 1 on, in comments only',
      'kernels/c.wgsl is committed, and not emitted any more',
      'kernels/d.wgsl is emitted, and not committed',
    ]);
  });
});
