/**
 * `ditc build`: what it writes, says and refuses.
 * @once
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { ownProcess, processText } from '../../runtime/node/process.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { BIN, ditc, spawnDitc, TINY } from './cli.ts';

const folder = scratchFolder();

/** Every file below a folder, with a digest of its bytes. */
function contents(root: string, under = ''): Record<string, string> {
  return Object.assign(
    {},
    ...readdirSync(join(root, under), { withFileTypes: true }).map((item) => {
      const path = join(under, item.name);
      return item.isDirectory()
        ? contents(root, path)
        : {
            [path]: createHash('sha256')
              .update(readFileSync(join(root, path)))
              .digest('hex'),
          };
    }),
  );
}

describe('build', () => {
  it('writes the artefact and says what it holds', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const { code, out, err } = await ditc(['build', 'tiny.ts'], cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(
      /^tiny {2}3 parameters\n {2}device +portable: any WebGPU device \(--device here[^]*\)\n {2}graph +\d+ ops → \d+\n {2}kernels +\d+ dispatches of \d+ kernels\n/,
    );
    expect(out).toMatch(/\n {2}entries +scale +\d+ dispatch/);
    expect(out).toMatch(/\n {2}wrote +codegen-out\/tiny\/ — open report.html to look inside +\d+\.\d s\n$/);
    const files = Object.keys(contents(join(cwd, 'codegen-out/tiny')));
    expect(files).toEqual(
      expect.arrayContaining(['manifest.json', 'graph.ir', 'index.ts', 'remarks.json', 'report.html']),
    );
    expect(files.filter((name) => name.startsWith('kernels/')).length).toBeGreaterThan(1);
    expect(readdirSync(join(cwd, 'codegen-out'))).toEqual(['tiny']);
  });

  it('says where a constant of the model is NaN', async () => {
    const file =
      "import { constant, defineModel } from 'ditc/dsl';\nexport default defineModel({ config: {}, entries: { f(e) {\n  const scale = constant(-1, []).log();\n  return { out: e.input('x', [2]).mul(scale) };\n} } });\n";
    const { code, err } = await ditc(['build', 'nan.ts'], folder({ 'nan.ts': file }));
    expect({ code, err }).toEqual({
      code: 0,
      err: 'note: nan.ts:3:34: scale is NaN, whatever the inputs are: log(-1)\n',
    });
  });

  it('leaves the report out when told, and nothing else', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    await ditc(['build', 'tiny.ts', '--out', 'whole'], cwd);
    const { code, out } = await ditc(['build', 'tiny.ts', '--no-report', '--out', 'part'], cwd);
    expect(code).toBe(0);
    expect(out).toMatch(/\n {2}wrote +part\/ +\d+\.\d s\n$/);
    const { 'report.html': report, 'manifest.json': _, ...rest } = contents(join(cwd, 'whole'));
    expect(report).toBeTypeOf('string');
    // The manifest has a digest of each of them.
    const part = contents(join(cwd, 'part'));
    expect(part).toEqual({ ...rest, 'manifest.json': part['manifest.json'] });
    const { files } = JSON.parse(readFileSync(join(cwd, 'part/manifest.json'), 'utf8')) as Manifest;
    expect(files).toEqual(rest);
  });

  it('gives the same bytes again, wherever the command runs and writes', async () => {
    const cwd = folder({ 'deep/tiny.ts': TINY, 'package.json': '{}' });
    await ditc(['build', 'deep/tiny.ts', '--out', 'one'], cwd);
    await ditc(['build', 'deep/tiny.ts', '--out', 'one'], cwd);
    const spawned = await spawnDitc(['build', join(cwd, 'deep/tiny.ts'), '--out', join(cwd, 'a/b/two')], '/');
    expect(spawned).toMatchObject({ code: 0, err: '' });
    await ditc(['build', 'tiny.ts', '--out', '../three'], join(cwd, 'deep'));
    const one = contents(join(cwd, 'one'));
    expect(contents(join(cwd, 'a/b/two'))).toEqual(one);
    expect(contents(join(cwd, 'three'))).toEqual(one);
    expect(JSON.parse(readFileSync(join(cwd, 'one/manifest.json'), 'utf8')).source).toBe('deep/tiny.ts');
  });

  it('replaces an artefact whole: kernels of an earlier build go', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    await ditc(['build', 'tiny.ts', '--out', 'out'], cwd);
    const before = readdirSync(join(cwd, 'out/kernels'));
    const { code } = await ditc(['build', 'tiny.ts', '--out', 'out', '--entry', 'count'], cwd);
    expect(code).toBe(0);
    expect(readdirSync(join(cwd, 'out/kernels')).length).toBeLessThan(before.length);
    expect(readdirSync(cwd).sort()).toEqual(['out', 'tiny.ts']);
  });

  it('follows a symbolic link to the folder', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    mkdirSync(join(cwd, 'real'));
    symlinkSync('real', join(cwd, 'link'));
    expect(await ditc(['build', 'tiny.ts', '--out', 'link'], cwd)).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, 'real/manifest.json'))).toBe(true);
  });

  it('leaves what no build wrote where it is', async () => {
    const cwd = folder({ 'tiny.ts': TINY, 'src/notes.txt': 'years of work', 'src/kernels/own.wgsl': 'mine' });
    const build = (...args: string[]) => ditc(['build', 'tiny.ts', '--out', 'src', ...args], cwd);
    expect(await build()).toMatchObject({ code: 0 });
    expect(await build('--entry', 'count', '--no-report')).toMatchObject({ code: 0 });
    const alone = await ditc(['build', 'tiny.ts', '--out', 'alone', '--entry', 'count', '--no-report'], cwd);
    expect(alone.code).toBe(0);
    for (const [name, text] of [
      ['notes.txt', 'years of work'],
      ['kernels/own.wgsl', 'mine'],
    ])
      writeFileSync(join(cwd, 'alone', name), text);
    expect(contents(join(cwd, 'src'))).toEqual(contents(join(cwd, 'alone')));
  });

  it.each<[string, Record<string, string>]>([
    ['index.ts', { 'src/index.ts': 'mine', 'src/kernels/own.wgsl': 'mine' }],
    ['manifest.json', { 'src/manifest.json': '{"name": "an app"}' }],
    ['manifest.json', { 'src/manifest.json': '{"format": 1, "entries": {}}' }],
    ['kernels/scaled.wgsl', { 'src/kernels/scaled.wgsl': 'mine' }],
    ['kernels', { 'src/kernels': 'a file' }],
    ['graph.ir', { 'src/graph.ir/mine': 'a folder' }],
  ])('refuses to write over %s that no build wrote', async (name, files) => {
    const cwd = folder({ 'tiny.ts': TINY, ...files });
    const before = contents(cwd);
    const { code, err } = await ditc(['build', 'tiny.ts', '--out', 'src'], cwd);
    expect(code).toBe(1);
    expect(err).toContain('src — cannot write the artefact there\n   it would write over what ditc did not write: ');
    expect(err).toContain(name);
    expect(err).toMatch(/fix: choose another --out, or move (it|them) away/);
    expect(contents(cwd)).toEqual(before);
  });

  it('deletes nothing outside its folder, whatever the manifest there lists', async () => {
    const cwd = folder({ 'tiny.ts': TINY, 'mine.txt': 'mine', 'out/notes.txt': 'mine' });
    const files = { '../mine.txt': '', '/etc/mine.txt': '', 'kernels/../../mine.txt': '', '..': '' };
    writeFileSync(join(cwd, 'out/manifest.json'), JSON.stringify({ format: 1, entries: {}, kernels: {}, files }));
    expect(await ditc(['build', 'tiny.ts', '--out', 'out'], cwd)).toMatchObject({ code: 0 });
    expect(readFileSync(join(cwd, 'mine.txt'), 'utf8')).toBe('mine');
    expect(readFileSync(join(cwd, 'out/notes.txt'), 'utf8')).toBe('mine');
  });

  it('goes on where a build was killed while it put its files in place', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const build = (...args: string[]) => ditc(['build', 'tiny.ts', '--out', 'out', ...args], cwd);
    await build('--entry', 'count');
    await ditc(['build', 'tiny.ts', '--out', 'whole'], cwd);
    const whole = contents(join(cwd, 'whole'));
    // Of a process that has ended: all but its manifest was moved.
    const left = join(cwd, 'out', `.ditc-${processText({ ...ownProcess(), start: 'before' })}-0.new`);
    mkdirSync(left);
    for (const name of Object.keys(whole)) {
      const to = name === 'manifest.json' ? left : join(cwd, 'out');
      mkdirSync(join(to, name, '..'), { recursive: true });
      copyFileSync(join(cwd, 'whole', name), join(to, name));
    }
    expect(await build()).toMatchObject({ code: 0 });
    expect(contents(join(cwd, 'out'))).toEqual(whole);
  });

  it('says why a path cannot be written, before it compiles, and leaves nothing', async () => {
    const cwd = folder({ 'tiny.ts': TINY, file: '' });
    const below = await ditc(['build', 'tiny.ts', '--out', 'file/out'], cwd);
    expect(below).toMatchObject({ code: 1, out: '' });
    expect(below.err).toContain('file/out — cannot write the artefact there\n   a part of the path is a file');
    const over = await ditc(['build', 'tiny.ts', '--out', 'file'], cwd);
    expect(over).toMatchObject({ code: 1, out: '' });
    expect(readdirSync(cwd).sort()).toEqual(['file', 'tiny.ts']);
  });

  it.skipIf(process.getuid?.() === 0)('says so when permission is missing', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    mkdirSync(join(cwd, 'locked'));
    chmodSync(join(cwd, 'locked'), 0o555);
    const { code, err } = await ditc(['build', 'tiny.ts', '--out', 'locked/out'], cwd);
    expect(code).toBe(1);
    expect(err).toContain('permission denied');
  });

  it('prints as JSON', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const { code, out, err } = await ditc(['build', 'tiny.ts', '--batch', '4', '--out', 'o', '--json'], cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const report = JSON.parse(out);
    expect(report).toMatchObject({ model: 'tiny', source: 'tiny.ts', device: 'portable', out: 'o' });
    expect(report.entries.scale).toMatchObject({ paramCount: 3, macs: 0 });
    const manifest = JSON.parse(readFileSync(join(cwd, 'o/manifest.json'), 'utf8'));
    expect(manifest.entries.scale.inputs[0]).toEqual({ name: 'x', shape: [4, 3], dtype: 'f32' });
  });

  it('prints the graphs after a pass', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const args = ['build', '--print-ir', 'tiny.ts', '--entry', 'count'];
    const { code, out, err } = await ditc(args, cwd);
    expect(code).toBe(0);
    expect(out).toMatch(/^graph @count\(\) \{\n/);
    expect(err).toMatch(/^tiny {2}0 parameters/);
    const traced = await ditc(['build', 'tiny.ts', '--print-ir=trace'], cwd);
    expect(traced.out).toContain('graph @scale(%x: f32[1,3], %k: i32[3], %flag: bool[3])');
  });

  it('compiles for a device that doctor wrote down', async () => {
    const spec = { name: 'my-gpu', kind: 'hardware', features: [], subgroups: null, limits: {} };
    const cwd = folder({
      'tiny.ts': TINY,
      'doctor.json': JSON.stringify({ node: 'v20', adapter: spec }),
      'bad.json': '[',
    });
    const { out } = await ditc(['build', 'tiny.ts', '--device', 'doctor.json', '--json'], cwd);
    expect(JSON.parse(out).device).toBe('my-gpu');
    const bad = await ditc(['build', 'tiny.ts', '--device', 'bad.json', '--json'], cwd);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.out).error).toMatchObject({ code: 'device-spec', where: 'bad.json' });
    const none = await ditc(['build', 'tiny.ts', '--device', 'none.json', '--json'], cwd);
    expect(JSON.parse(none.out).error).toMatchObject({ code: 'io', where: 'none.json' });
  });
});

describe('a model that cannot be built', () => {
  const failing = async (files: Record<string, string>, args: string[] = []) => {
    const cwd = folder(files);
    const result = await ditc(['build', 'my.ts', ...args], cwd);
    expect(readdirSync(cwd).sort()).toEqual(Object.keys(files).sort());
    return result;
  };
  const model = (body: string) =>
    `import { defineModel } from 'ditc/dsl';\nexport default defineModel({ config: {}, entries: { forward(e) {\n${body}\n} } });\n`;

  it('for a type error: exit 1, the place, nothing written', async () => {
    const { code, err } = await failing({ 'my.ts': model("  return { out: e.input('x', [2]).multiply(2) };") });
    expect(code).toBe(1);
    expect(err).toMatch(/^my\.ts:3:35 - error TS\d+: Property 'multiply' does not exist/);
  });

  it('for a shape error: the place, the sizes, the fix', async () => {
    const body = "  const q = e.input('q', [2, 4]);\n  return { out: q.matmul(e.input('w', [5, 4])) };";
    const { code, out, err } = await failing({ 'my.ts': model(body) });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^my\.ts:4:19 — matmul/);
    expect(err).toContain('fix: ');
    const json = await failing({ 'my.ts': model(body) }, ['--json']);
    expect(json).toMatchObject({ code: 1, err: '' });
    expect(JSON.parse(json.out).error).toMatchObject({ code: 'shape', where: 'my.ts:4:19' });
  });

  it('for a tensor over the device’s limits', async () => {
    const body = "  return { out: e.input('x', [e.batch, 1024, 1024]).add(1) };";
    const { code, err } = await failing({ 'my.ts': model(body) }, ['--batch', '256']);
    expect(code).toBe(1);
    expect(err).toMatch(/takes 1073741824 bytes; portable binds at most 134217728/);
    expect(err).toContain('fix: use a smaller --batch');
  });

  it('for an unknown entry, a missing file, a folder', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    expect((await ditc(['build', 'tiny.ts', '--entry', 'forwrd'], cwd)).err).toBe(
      'tiny.ts — there is no entry forwrd\n   fix: choose one of scale, count\n',
    );
    expect((await ditc(['build', 'tin.ts'], cwd)).err).toContain('tin.ts — there is no such file');
    expect((await ditc(['build', '.'], cwd)).err).toContain('it is a folder, not a model file');
  });

  it('because of a bug: one line and where to read on; the stack only when asked for', async () => {
    const cwd = folder({ 'my.ts': model("  return { out: e.input('x', [2]) };") });
    // A clock that throws stands for a bug anywhere.
    const { now } = performance;
    performance.now = () => {
      performance.now = now;
      throw new TypeError('x is not a function');
    };
    const { code, err } = await ditc(['build', 'my.ts'], cwd);
    expect(code).toBe(1);
    expect(err).toBe(
      'TypeError: x is not a function\n   fix: this is a bug in ditc; run it again with DITC_DEBUG=1 for the stack, and report both\n',
    );
  });
});

describe('a pipe that closes early', () => {
  it('is no failure', () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const script = `node ${BIN} build tiny.ts --print-ir | head -1; echo "\${PIPESTATUS[0]}"`;
    expect(execFileSync('bash', ['-c', script], { cwd, encoding: 'utf8', stdio: 'pipe' })).toMatch(/\n0\n$/);
  });
});
