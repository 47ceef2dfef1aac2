/** A model of flow matching from the command line: trained, sampled by its own samplers, and refused those that it has not. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { writeStripes } from './linear-denoiser.ts';

vi.setConfig({ testTimeout: 300_000 });

const folder = scratchFolder();
let cwd: string;
beforeAll(async () => {
  const config = "learnSigma: false, flow: { interpolant: 'cosine', times: 'logit-normal' },";
  cwd = folder({ 'flowing.ts': SMALL_DIT.replace('numClasses: 5,', `numClasses: 5, ${config}`) });
  await writeStripes(join(cwd, 'stripes.safetensors'), 25, (i) => i % 5, 8);
});

it('trains by the command that others do, and records what it measures', async () => {
  const args = ['--data', 'stripes.safetensors', '--steps', '4', '--batch', '3', '--log-every', '1', '--out', 'run'];
  const { code, err } = await ditc(['train', 'flowing.ts', ...args, '--lr', '0.01', '--sample-every', '0'], cwd);
  expect(code, err).toBe(0);
  const metrics = readMetrics(join(cwd, 'run/metrics.jsonl'));
  expect(metrics).toHaveLength(4);
  for (const { loss, mse, vb, buckets } of metrics) {
    expect(loss).toBeGreaterThan(0);
    expect(loss).toBe(mse);
    expect([vb, Object.keys(buckets!)]).toEqual([null, ['mse']]);
  }
});

it.each(['euler', 'heun', 'euler-maruyama'])('is sampled by %s, guided in a part of the way', async (sampler) => {
  const guidance = ['--cfg', '2', '--cfg-interval', '0.2-0.8', '--cfg-channels', 'all'];
  const args = ['--classes', '0-2', '--steps', '3', '--sampler', sampler, '--out', `${sampler}.png`];
  const { code, out, err } = await ditc(['sample', 'flowing.ts', ...args, ...guidance], cwd);
  expect(code, err).toBe(0);
  expect(out).toContain('3 pictures · 3 steps of batch 3');
  expect(existsSync(join(cwd, `${sampler}.png`))).toBe(true);
});

describe('what another objective has', () => {
  it.each([
    [
      ['sample', '--classes', '1', '--sampler', 'ddim', '--out', 'o.png'],
      '--sampler: flowing has no ddim\n   fix: use euler or heun or euler-maruyama\n',
    ],
    [
      ['sample', '--classes', '1', '--out', 'o.png', '--sampler'],
      '--sampler is empty\n   fix: use euler or heun or euler-maruyama\n',
    ],
    [
      ['train', '--data', 'stripes.safetensors', '--steps', '1', '--min-snr', '5', '--out', 'o.png'],
      'the model is one of flow matching, which has no such setting\n   fix: leave it out\n',
    ],
  ])('is refused by name: %j', async ([command, ...args], message) => {
    const { code, err } = await ditc([command, 'flowing.ts', ...args], cwd);
    expect(err).toContain(message);
    expect(code).not.toBe(0);
    expect(existsSync(join(cwd, 'o.png'))).toBe(false);
  });
});
