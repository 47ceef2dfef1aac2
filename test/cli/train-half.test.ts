/** `ditc train --dtype f16`: what is recorded, what a step that overflows is, and when training gives up. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';
import { CLASSES, SIZE, writeStripes } from './linear-denoiser.ts';

vi.setConfig({ testTimeout: 300_000 });

const folder = scratchFolder();

/** Two layers, trained by the library's step: a DiT's takes a minute to compile on a software GPU. */
const LAYERS = `import { defineModel, silu, type Scope, type Tensor } from 'ditc/dsl';
import { trainingEntries } from 'ditc/models/training';

const [size, numClasses] = [${SIZE}, ${CLASSES}];
const predict = (p: Scope, x: Tensor, _t: Tensor, y: Tensor) => {
  const classes = p.param('classes', [numClasses, size * size]).gather(y);
  const hidden = silu(p.linear('in', x.reshape(x.shape[0], size * size), 32));
  return p.linear('out', hidden, size * size).add(classes).reshape(x.shape[0], 1, size, size);
};

export default defineModel({
  config: { size, numClasses },
  entries: trainingEntries({ channels: 1, size, nullClass: undefined, predict, labelDropout: 0 }),
});
`;

describe('train --dtype f16', () => {
  let cwd: string;
  let hasHalf: boolean;
  const train = (out: string, ...more: string[]) =>
    ditc(
      ['train', 'layers.ts', '--data', 'x.safetensors', '--batch', '4', '--log-every', '1', '--out', out, ...more],
      cwd,
    );
  const recordsOf = (out: string) => readMetrics(join(cwd, out, 'metrics.jsonl'));

  beforeAll(async () => {
    cwd = folder({ 'layers.ts': LAYERS });
    await writeStripes(join(cwd, 'x.safetensors'));
    const found = await findAdapter();
    hasHalf = found.spec.features.includes('shader-f16');
    found.close();
  });

  it('needs a device with f16', async () => {
    if (hasHalf) return;
    const { code, err } = await train('none', '--dtype', 'f16', '--steps', '1');
    expect(code).toBe(1);
    expect(err).toContain('has no f16');
  });

  it('records the scale, and goes on in f16', async () => {
    if (!hasHalf) return;
    expect(await train('whole', '--dtype', 'f16', '--steps', '8')).toMatchObject({ code: 0 });
    const records = recordsOf('whole');
    expect(records.map(({ lossScale, skipped }) => [lossScale, skipped])).toEqual(Array(8).fill([65536, 0]));
    expect(await train('parts', '--dtype', 'f16', '--steps', '5')).toMatchObject({ code: 0 });
    const f32 = await train('parts', '--dtype', 'f32', '--steps', '8', '--resume', 'latest');
    expect(f32.code).toBe(2);
    expect(f32.err).toContain('--dtype is f32');
    expect(f32.err).toContain('the checkpoint was trained in f16');
    expect(await train('parts', '--steps', '8', '--resume', 'latest')).toMatchObject({ code: 0 });
    const withoutClock = (out: string) => recordsOf(out).map(({ wall: _, ...record }) => record);
    expect(withoutClock('parts')).toEqual(withoutClock('whole'));
    const [a, b] = ['parts', 'whole'].map((out) => readFileSync(join(cwd, out, 'weights.safetensors')));
    expect(a.equals(b)).toBe(true);
  });

  it('takes a step that overflows for what it is: left out, and told', async () => {
    if (!hasHalf) return;
    const { code, err } = await train('scaled', '--dtype', 'f16', '--loss-scale', '1e9', '--steps', '30');
    expect({ code, err }).toMatchObject({ code: 0 });
    const records = recordsOf('scaled');
    const left = records.filter(({ gradNorm }) => gradNorm === null);
    expect(left.length).toBeGreaterThan(2);
    expect(records.at(-1)).toMatchObject({ skipped: left.length, lossScale: 1e9 / 2 ** left.length });
    expect(records.at(-1)!.gradNorm).toBeGreaterThan(0);
    expect(readFileSync(join(cwd, 'scaled/training.html'), 'utf8')).toContain('Loss scale');
  });

  it('ends where no scale helps', async () => {
    if (!hasHalf) return;
    const { code, err } = await train('astray', '--dtype', 'f16', '--lr', '1e30', '--steps', '100');
    expect(code).toBe(1);
    expect(err).toMatch(/training went astray by step \d+/);
    expect(err).toMatch(/steps were left out, whatever the loss was scaled by/);
    expect(err).not.toContain('computes wrong');
    expect(recordsOf('astray').length).toBeLessThan(60);
  });

  it('is without scaling in f32, where the first step that is not finite ends it', async () => {
    const { code, err } = await train('full', '--lr', '1e30', '--steps', '20');
    expect(code).toBe(1);
    expect(err).toContain('training went astray');
    expect(recordsOf('full').every((record) => record.lossScale === undefined)).toBe(true);
  });
});
