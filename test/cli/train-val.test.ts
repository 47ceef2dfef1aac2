/**
 * The loss on examples that are held out: which they are, what is measured of them, and that training does not see them.
 * @once
 */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { givenDataset } from '../../runtime/data/given.ts';
import { heldOut } from '../../runtime/data/held-out.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';

const ARGS = [
  'train',
  'small.ts',
  '--data',
  'stripes.safetensors',
  '--batch',
  '4',
  '--sample-every',
  '0',
  '--log-every',
  '3',
];
let cwd: string;
beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT, 'linear.ts': LINEAR });
  await writeStripes(join(cwd, 'stripes.safetensors'), 40, (i) => i % 5, 8);
  await writeStripes(join(cwd, 'others.safetensors'), 10, (i) => i % 5, 8);
});
const run = async (out: string, ...args: string[]) => {
  const { code, err } = await ditc([...ARGS, '--out', out, ...args], cwd);
  expect({ code, err }).toMatchObject({ code: 0 });
  return readMetrics(join(cwd, out, 'metrics.jsonl')).map(({ step, val }) => ({ step, val }));
};

describe('a share that is held out', () => {
  const examples = 20;
  const images = Float32Array.from({ length: examples }, (_, i) => i);
  const whole = givenDataset({ images, labels: Int32Array.from(images) }, [1, 1, 1], {});
  const numbersOf = async ({ count, read, labels }: Dataset) => {
    const values = await Promise.all(Array.from({ length: count }, async (_, i) => (await read(i, false))[0]));
    expect([...labels]).toEqual(values);
    return values;
  };

  it('is parted by the seed, and both parts together are all examples', async () => {
    const parts = heldOut(whole, 0.25, 3);
    const [kept, held] = [await numbersOf(parts.data), await numbersOf(parts.held)];
    expect(held).toHaveLength(5);
    expect([...kept, ...held].sort((a, b) => a - b)).toEqual([...images]);
    expect(await numbersOf(heldOut(whole, 0.25, 3).held)).toEqual(held);
    expect(await numbersOf(heldOut(whole, 0.25, 4).held)).not.toEqual(held);
    expect(parts.data.fingerprint).not.toBe(heldOut(whole, 0.25, 4).data.fingerprint);
  });

  it.each([0.01, 0.99, 1, Number.NaN])('of %d is refused, where one part would be empty', (share) => {
    expect(() => heldOut(whole, share, 0)).toThrow(/cannot be held out/);
  });
});

describe('train --val', () => {
  it('measures the same loss of the same weights, whenever and on whatever batch', { timeout: 300_000 }, async () => {
    const steady = await run('steady', '--steps', '6', '--lr', '0', '--val', '0.25', '--val-every', '2');
    expect(steady.map(({ step }) => step)).toEqual([2, 3, 4, 6]);
    const values = steady.flatMap(({ val }) => val ?? []);
    expect(new Set(values).size).toBe(1);
    const [other] = await run(
      'batch',
      '--steps',
      '1',
      '--lr',
      '0',
      '--val',
      '0.25',
      '--val-every',
      '1',
      '--batch',
      '3',
    );
    expect(Math.abs(other.val! / values[0] - 1)).toBeLessThan(1e-5);
  });

  it('falls with training, and goes on bit by bit', async () => {
    const val = ['--val', '0.25', '--val-every', '4', '--lr', '1e-2', '--checkpoint-every', '6'];
    const whole = await run('whole', '--steps', '12', ...val);
    const values = whole.flatMap(({ val }) => val ?? []);
    expect(values).toHaveLength(3);
    expect(values[2]).toBeLessThan(values[0]);
    await run('parts', '--steps', '6', ...val);
    expect(await run('parts', '--steps', '12', '--resume', 'latest', '--val-every', '4')).toEqual(whole);
    const { code, err } = await ditc(
      [...ARGS, '--out', 'parts', '--steps', '20', '--resume', 'latest', '--val', '0.5'],
      cwd,
    );
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining('--val is 0.5') });
  });

  it('takes other data, and says what goes wrong', async () => {
    const [{ val }] = await run('other', '--steps', '1', '--val-data', 'others.safetensors', '--val-every', '1');
    expect(val).toBeGreaterThan(0);
    const refused = async (...args: string[]) =>
      (await ditc([...ARGS, '--out', 'no', '--steps', '1', ...args], cwd)).err;
    expect(await refused('--val', '0.1', '--val-data', 'others.safetensors')).toContain('exclude each other');
    expect(await refused('--val', '0.001')).toContain('a share of 0.001 cannot be held out');
    const { err } = await ditc(
      ['train', 'linear.ts', ...ARGS.slice(2), '--out', 'no', '--steps', '1', '--val', '0.1'],
      cwd,
    );
    expect(err).toContain('linear.ts has no entry validate');
  });
});
