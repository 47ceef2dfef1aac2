/**
 * `ditc build --target web` from the command line: what it writes over, says and refuses.
 * @once
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelFile } from '../../runtime/web/model-file.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, TINY } from './cli.ts';

const folder = scratchFolder();
const WEB = ['build', 'tiny.ts', '--target', 'web', '--out', 'site'];
const modelIn = (cwd: string) => JSON.parse(readFileSync(join(cwd, 'site/model.json'), 'utf8')) as ModelFile;

describe('build --target web', () => {
  it('writes a folder to serve and says what is in it', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    const { code, out, err } = await ditc(WEB, cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^tiny {2}2 variants: a page takes the first that its GPU runs\n/);
    expect(out).toMatch(/\n {2}base +\S+ kB code +weights from a seed +any WebGPU device\n/);
    expect(out).toMatch(/\n {2}wrote site\/ — serve it and open index\.html, such as with: npx http-server site/);
    for (const name of ['index.html', 'page.js', 'runtime.js', 'index.d.ts', modelIn(cwd).variants[0].code.file])
      expect(existsSync(join(cwd, 'site', name))).toBe(true);
  });

  it('replaces what an earlier build wrote, and nothing else', async () => {
    const cwd = folder({ 'tiny.ts': TINY });
    await ditc(WEB, cwd);
    const [{ code: former }] = modelIn(cwd).variants;
    writeFileSync(join(cwd, 'site/mine.txt'), 'mine');
    writeFileSync(join(cwd, 'tiny.ts'), TINY.replace('k.add(1)', 'k.add(2)'));
    expect(await ditc(WEB, cwd)).toMatchObject({ code: 0 });
    const [{ code: now }] = modelIn(cwd).variants;
    expect(now.file).not.toBe(former.file);
    expect([former.file, now.file, 'mine.txt'].map((name) => existsSync(join(cwd, 'site', name)))).toEqual([
      false,
      true,
      true,
    ]);
    const foreign = folder({ 'tiny.ts': TINY, 'site/index.html': 'a page of mine' });
    const { code, err } = await ditc(WEB, foreign);
    expect(code).toBe(1);
    expect(err).toMatch(/it would write over what ditc did not write: index\.html/);
    expect(readFileSync(join(foreign, 'site/index.html'), 'utf8')).toBe('a page of mine');
  });

  it('refuses what has no effect, and weights that do not fit, before it writes', async () => {
    const cwd = folder({ 'tiny.ts': TINY, 'none.safetensors': 'x' });
    for (const [args, flag] of [
      [['--device', 'rdna3'], '--device'],
      [['--memory', '1GB'], '--memory'],
      [['--print-ir'], '--print-ir'],
    ] as const) {
      const { code, err } = await ditc([...WEB, ...args], cwd);
      expect(code).toBe(2);
      expect(err).toContain(`${flag} has no effect with --target web`);
    }
    const idle = await ditc([...WEB, '--train-batch', '8'], cwd);
    expect(idle.err).toContain('--train-batch has no effect without --data');
    const elsewhere = await ditc(['build', 'tiny.ts', '--data', 'd'], cwd);
    expect(elsewhere.err).toContain('--data is for --target web');
    const alone = await ditc(['build', 'tiny.ts', '--weights', 'none.safetensors'], cwd);
    expect(alone.err).toContain('--weights is for --target web');
    const broken = await ditc([...WEB, '--weights', 'none.safetensors'], cwd);
    expect(broken.code).toBe(1);
    expect(broken.err).toContain('none.safetensors');
    expect(existsSync(join(cwd, 'site'))).toBe(false);
  });
});
