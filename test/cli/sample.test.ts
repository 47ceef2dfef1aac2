import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseNpy } from '../../runtime/checkpoint/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT, spawnDitc } from './cli.ts';

const folder = scratchFolder();
const LATENT_DIT = SMALL_DIT.replace(/, picture: .*? }/, '');

describe('sample', () => {
  let cwd: string;
  const sample = (...args: string[]) => ditc(['sample', 'small.ts', '--steps', '3', ...args], cwd);
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(cwd, name)))
      .digest('hex');
  beforeAll(() => {
    cwd = folder({
      'small.ts': SMALL_DIT,
      'latent.ts': LATENT_DIT,
      'plain.ts': LATENT_DIT.replace('...network', 'config: {}, entries: { forward: network.entries.forward }'),
    });
  });

  it('gives the same PNG for the same seed, whatever the batch', async () => {
    const first = await sample('--classes', '0-4', '--batch', '2', '--out', 'a.png');
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/^wrote a\.png {2}5 pictures · 9 steps of batch 2, /);
    expect(first.err).toContain('note: the weights are random');
    await sample('--classes', '0-4', '--batch', '5', '--out', 'b.png');
    await sample('--classes', '0-4', '--seed', '1', '--out', 'c.png');
    expect(digest('b.png')).toBe(digest('a.png'));
    expect(digest('c.png')).not.toBe(digest('a.png'));
    const { width, height, data } = PNG.sync.read(readFileSync(join(cwd, 'a.png')));
    // 8 pixels a side are drawn as 64, 2 black ones around each picture.
    expect([width, height]).toEqual([4 * 66 + 2, 2 * 66 + 2]);
    expect(new Set(data).size).toBeGreaterThan(2);
  });

  it(
    'gives the same samples to the last bit in batches of any size, whole or filled up',
    { timeout: 120_000 },
    async () => {
      const args = ['--classes', '0-4,3,1', '--cfg', '1.5', '--sampler', 'ddim'];
      for (const batch of [1, 2, 3, 5, 8]) {
        expect(await sample(...args, '--batch', String(batch), '--out', `of-${batch}.npy`)).toMatchObject({ code: 0 });
      }
      const digests = [1, 2, 3, 5, 8].map((batch) => digest(`of-${batch}.npy`));
      expect(new Set(digests).size).toBe(1);
    },
  );

  it('writes a folder of pictures, a grid of any width, and raw samples', async () => {
    const args = ['--classes', '1x3', '--batch', '2', '--sampler', 'ddim', '--eta', '0.5', '--cfg', '1'];
    const { out } = await sample(...args, '--out', 'pictures', '--json');
    expect(JSON.parse(out)).toMatchObject({ out: 'pictures', pictures: 3, batch: 2, steps: 6 });
    expect(readdirSync(join(cwd, 'pictures'))).toEqual(['000000.png', '000001.png', '000002.png']);
    await sample(...args, '--columns', '1', '--scale', '3', '--out', 'column.png');
    const column = PNG.sync.read(readFileSync(join(cwd, 'column.png')));
    expect([column.width, column.height]).toEqual([28, 80]);
    await sample(...args, '--out', 'raw.npy');
    const { dtype, shape, data } = parseNpy(readFileSync(join(cwd, 'raw.npy')), 'raw.npy');
    expect({ dtype, shape }).toEqual({ dtype: 'f32', shape: [3, 1, 8, 8] });
    // The same samples three times over: a folder's picture, a grid's and the array's values.
    const last = PNG.sync.read(readFileSync(join(cwd, 'pictures/000002.png')));
    const bytes = Array.from(data.slice(128) as Float32Array, (x) =>
      Math.floor(Math.min(Math.max((x + 1) / 2, 0), 1) * 255 + 0.5),
    );
    expect(Array.from({ length: 64 }, (_, i) => last.data[4 * i])).toEqual(bytes);
    const inGrid = (i: number) => column.data[4 * ((54 + Math.floor(i / 24)) * 28 + 2 + (i % 24))];
    const enlarged = Array.from(
      { length: 24 * 24 },
      (_, i) => bytes[Math.floor(i / 72) * 8 + Math.floor((i % 24) / 3)],
    );
    expect(Array.from(enlarged, (_, i) => inGrid(i))).toEqual(enlarged);
  });

  it('saves latents, and says that they are no pictures', async () => {
    const png = await ditc(['sample', 'latent.ts', '--classes', '1', '--steps', '1', '--out', 'l.png'], cwd);
    expect(png).toMatchObject({ code: 1, out: '' });
    expect(png.err).toContain('latent makes latents [1, 8, 8], not pictures');
    expect(png.err).toContain('fix: give it with --vae MODEL.ts, or save them as they are with --out FILE.npy');
    const npy = await ditc(['sample', 'latent.ts', '--classes', '1', '--steps', '1', '--out', 'l.npy'], cwd);
    expect(npy.code).toBe(0);
  });

  it.each<[string[], number, string]>([
    [['--classes', '5', '--out', 'o.png'], 2, 'small has no class 5\n   it knows 5 classes\n   fix: use 0 to 4'],
    [
      ['--classes', '1', '--out', 'o.png', '--steps', '0'],
      2,
      '--steps is 0\n   fix: give a whole number from 1 to 1000',
    ],
    [['--classes', '1', '--out', 'o.png', '--steps', '1001'], 2, '--steps is 1001'],
    [
      ['--classes', '1', '--out', 'o.png', '--sampler', 'euler'],
      2,
      '--sampler: small has no euler\n   fix: use ddpm or ddim or heun or dpm++',
    ],
    [['--classes', '1', '--out', 'o.png', '--eta', '1'], 2, '--eta is a setting of ddim'],
    [['--classes', '', '--out', 'o.png'], 2, '--classes is empty\n   fix: write 1,2,3 or 0-9 or 0-9x20'],
    [['--classes', '1', '--out', 'o.png', '--cfg', 'much'], 2, '--cfg is much\n   fix: give a number'],
    [['--classes', '1', '--out', 'o.png', '--cfg-channels', '0'], 2, '--cfg-channels is 0'],
    [['--classes', '1', '--out', 'o.png', '--cfg-interval', '0.8-0.1'], 2, '--cfg-interval is 0.8-0.1'],
    [['--classes', '1', '--out', 'o.png', '--seed', '-1'], 2, '--seed is -1'],
    [['--classes', 'one', '--out', 'o.png'], 2, '--classes: one in one'],
    [['--classes', '1', '--out', 'o.jpg'], 2, 'fix: give FILE.png, FILE.npy or a folder'],
    [['--classes', '1', '--out', 'o', '--columns', '3'], 2, '--columns is for a grid'],
    [['--classes', '1', '--out', 'o.npy', '--scale', '2'], 2, '--scale is for a grid'],
    [['--classes', '1', '--out', 'o.png', '--scale', '0'], 2, '--scale is 0\n   fix: give a whole number from 1 to 64'],
    [
      ['--classes', '1', '--out', 'no/o.png'],
      1,
      'no/o.png — cannot write the file\n   there is no folder no\n   fix: create it: mkdir -p no',
    ],
    [['--classes', '1', '--out', 'small.ts/o'], 1, 'a part of the path is a file'],
    [
      ['--classes', '1', '--out', 'o.png', '--weights', 'none.pt'],
      1,
      'none.pt — cannot open the file\n   no such file or folder (ENOENT)\n   fix: check the path\n',
    ],
  ])('%j is refused before any work', async (args, code, message) => {
    const result = await sample(...args);
    expect(result).toMatchObject({ code, out: '' });
    expect(result.err).toContain(message);
    expect(['o', 'o.png', 'no'].some((name) => existsSync(join(cwd, name)))).toBe(false);
  });

  it('keeps the pictures of two runs apart, and replaces the former when told', async () => {
    const draw = (classes: string, ...args: string[]) =>
      ditc(['sample', 'small.ts', '--classes', classes, '--steps', '1', '--out', 'drawn', ...args], cwd);
    mkdirSync(join(cwd, 'drawn'));
    writeFileSync(join(cwd, 'drawn/notes.txt'), 'mine');
    expect((await draw('0-2')).code).toBe(0);
    const first = readFileSync(join(cwd, 'drawn/000001.png'));
    const { code, err } = await draw('3');
    expect(code).toBe(2);
    expect(err).toBe(
      '--out: drawn holds pictures already\n   3 pictures, 000000.png the first: those of two runs could not be told apart\n' +
        '   fix: give another --out, or replace them with --overwrite\n',
    );
    expect(readFileSync(join(cwd, 'drawn/000001.png'))).toEqual(first);
    expect((await draw('3', '--overwrite')).code).toBe(0);
    expect(readdirSync(join(cwd, 'drawn')).sort()).toEqual(['000000.png', 'notes.txt']);
  });

  it('says when a model cannot be sampled', async () => {
    const { code, err } = await ditc(['sample', 'plain.ts', '--classes', '1', '--out', 'o.png'], cwd);
    // Nor is it asked what to draw.
    expect((await ditc(['sample', 'plain.ts', '--out', 'o.png'], cwd)).err).toBe(err);
    expect(code).toBe(1);
    expect(err).toContain('plain.ts — it has no entry sampleStart and sampleStep');
  });

  it('ended by Ctrl-C exits with 130 and leaves nothing', async () => {
    const before = readdirSync(cwd);
    const args = ['sample', 'small.ts', '--classes', '0-4x2000', '--batch', '1', '--steps', '1000', '--out', 'o.png'];
    let timer: NodeJS.Timeout | undefined;
    const { code, err } = await spawnDitc(args, cwd, (child) => {
      // The note about the weights comes when the device is open and sampling is about to begin.
      child.stderr.on('data', (chunk) => {
        if (String(chunk).includes('note:')) timer = setTimeout(() => child.kill('SIGINT'), 1000);
      });
    });
    clearTimeout(timer);
    expect(code, err).toBe(130);
    expect(readdirSync(cwd)).toEqual(before);
  });
});
