/**
 * What is kept between runs, as `ditc build` has it; and the type check that runs beside it.
 * @once
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, spawnDitc } from './cli.ts';
import { widthModel as model } from './models.ts';

const folder = scratchFolder();

let cache: string;
beforeEach(() => {
  cache = folder({ sentinel: '' });
  vi.stubEnv('DITC_CACHE', cache);
  return () => vi.unstubAllEnvs();
});

describe('ditc build', () => {
  const built = (root: string) => {
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => /\./.test(name));
    return Object.fromEntries(files.sort().map((name) => [name, readFileSync(join(root, name), 'latin1')]));
  };

  it('writes from the cache what it writes without', async () => {
    const cwd = folder({ 'm.ts': model('8') });
    const runs = ['one', 'two'].map((out) => () => ditc(['build', 'm.ts', '--out', out], cwd));
    const said = [];
    for (const run of runs) said.push((await run()).out.replace(/one|two/, '').replace(/[\d.]+ s/, ''));
    expect(said[1]).toBe(said[0]);
    vi.stubEnv('DITC_CACHE', 'off');
    await ditc(['build', 'm.ts', '--out', 'three'], cwd);
    expect(built(join(cwd, 'two'))).toEqual(built(join(cwd, 'one')));
    expect(built(join(cwd, 'three'))).toEqual(built(join(cwd, 'one')));
  });

  it('by several processes at once gives each the same, and leaves nothing half-written', async () => {
    const cwd = folder({ 'm.ts': model('8') });
    const names = ['a', 'b', 'c', 'd'];
    const runs = await Promise.all(names.map((out) => spawnDitc(['build', 'm.ts', '--out', out], cwd)));
    expect(runs.map(({ code, err }) => [code, err])).toEqual(names.map(() => [0, '']));
    for (const name of names) expect(built(join(cwd, name))).toEqual(built(join(cwd, 'a')));
    expect(readdirSync(join(cache, 'compiled')).filter((name) => !name.endsWith('.kept'))).toEqual([]);
  });

  it('tells a type error before all else, and writes nothing', async () => {
    const wrong = `const wrong: string = 1;\nthrow new Error('it ran');\n`;
    const cwd = folder({
      'types.ts': `const wrong: string = 1;\n${model('8')}`,
      'crash.ts': `${wrong}${model('8')}`,
      'syntax.ts': 'const = 3;',
    });
    mkdirSync(join(cwd, 'out'));
    for (const name of ['types.ts', 'crash.ts']) {
      const { code, out, err } = await spawnDitc(['build', name, '--out', 'out'], cwd);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toContain(`${name}:1:7 - error TS2322: Type 'number' is not assignable to type 'string'.`);
      expect(err).not.toContain('it ran');
    }
    expect((await spawnDitc(['build', 'syntax.ts'], cwd)).err).toContain('syntax.ts:1:7 - error TS1134');
    expect(readdirSync(cwd).sort()).toEqual(['crash.ts', 'out', 'syntax.ts', 'types.ts']);
    expect(readdirSync(join(cwd, 'out'))).toEqual([]);
  });

  it('tells of a tensor that decides, checked beside the compiler', async () => {
    const body = model('8').replace(
      'return { out',
      "if (e.input('t', [1])) console.log('it ran');\n      return { out",
    );
    const { code, err, out } = await spawnDitc(['build', 'm.ts'], folder({ 'm.ts': body }));
    expect({ code, out }).toEqual({ code: 1, out: 'it ran\n' });
    expect(err).toMatch(/^m\.ts:9:11 — a tensor cannot decide what the model does/);
  });
});
