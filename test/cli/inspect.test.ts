/**
 * `ditc inspect`: what it shows of a model, and what it refuses.
 * @once
 */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const folder = scratchFolder();

describe('inspect', () => {
  let cwd: string;
  beforeAll(async () => {
    cwd = folder({ 'small.ts': SMALL_DIT, 'empty/x': '' });
    expect(await ditc(['build', 'small.ts', '--out', 'built'], cwd)).toMatchObject({ code: 0 });
  });

  it('groups dispatches by kernel, the same for the folder and the model file', async () => {
    const built = await ditc(['inspect', 'built', '--entry', 'forward'], cwd);
    expect(built).toMatchObject({ code: 0, err: '' });
    expect(built.out).toMatch(/^small forward {2}\d+ dispatches of \d+ kernels · [\d.]+ kMAC · /);
    expect(built.out).toMatch(/\n {2}kernel +uses +result +MACs +bytes +cost +source +ops\n/);
    expect(built.out).toMatch(/ models\/dit\.ts:\d+ +linear → add\n/);
    const fromModel = await ditc(['inspect', 'small.ts', '--entry', 'forward'], cwd);
    expect(fromModel.out).toBe(built.out);
  });

  it('shares add up, and each dispatch can be listed', async () => {
    const { out } = await ditc(['inspect', 'built', '--json'], cwd);
    const { entries } = JSON.parse(out);
    expect(Object.keys(entries)).toEqual(['forward', 'sampleStart', 'sampleStep']);
    const sum = (name: string) =>
      entries[name].dispatches.reduce((total: number, row: { share: number }) => total + row.share, 0);
    expect(sum('forward')).toBeCloseTo(1, 10);
    const all = JSON.parse((await ditc(['inspect', 'built', '--all', '--json'], cwd)).out);
    const uses = (rows: { uses: number }[]) => rows.reduce((total, row) => total + row.uses, 0);
    expect(uses(all.entries.forward.dispatches)).toBe(uses(entries.forward.dispatches));
    expect(all.entries.forward.dispatches.length).toBe(uses(entries.forward.dispatches));
  });

  it('prints a kernel', async () => {
    const { entries } = JSON.parse((await ditc(['inspect', 'built', '--json'], cwd)).out);
    const name = entries.forward.dispatches[0].kernel;
    const text = await ditc(['inspect', 'built', '--kernel', name], cwd);
    expect(text).toMatchObject({ code: 0, err: '' });
    expect(text.out).toMatch(/^\/\/ models\/\w+\.ts\n\/\/ +\d+ \| \S/);
    expect(text.out).toMatch(new RegExp(`\n\n// ${name} — `));
    expect(text.out).toContain('@compute');
    const json = JSON.parse((await ditc(['inspect', 'built', '--kernel', name, '--json'], cwd)).out);
    expect(json).toMatchObject({
      name,
      file: `kernels/${name}.wgsl`,
      wgsl: text.out.slice(text.out.indexOf(`// ${name} — `)).trimEnd(),
    });
  });

  it.each<[string[], number, RegExp]>([
    [['inspect', 'built', '--kernel', 'nope'], 2, /there is no kernel nope\n {3}fix: use one of /],
    [['inspect', 'built', '--entry', 'nope'], 1, /there is no entry nope\n {3}fix: choose one of forward/],
    [['inspect', 'built', '--batch', '2'], 2, /--batch is for model files\n {3}built is built already/],
    [['inspect', 'empty'], 1, /empty — it is not an artefact folder/],
    [['inspect', 'gone'], 1, /gone — there is no such file/],
  ])('%j', async (args, code, message) => {
    const result = await ditc(args, cwd);
    expect(result).toMatchObject({ code, out: '' });
    expect(result.err).toMatch(message);
  });

  it('fails on a damaged manifest', async () => {
    const broken = folder({ 'manifest.json': '{ "format": 1 }' });
    const { code, err } = await ditc(['inspect', broken]);
    expect(code).toBe(1);
    expect(err).toContain(`${join(broken, 'manifest.json')} — the manifest is malformed`);
  });
});
