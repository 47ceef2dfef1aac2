/** A device that is lost under `ditc sample` or `ditc train` is opened anew, once, and the work comes out as if nothing had been. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { losing } from '../helpers/losing.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { writtenIn } from './written.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';

const folder = scratchFolder();
let cwd: string;
beforeAll(async () => {
  cwd = folder({ 'linear.ts': LINEAR, 'small.ts': SMALL_DIT });
  await writeStripes(join(cwd, 'stripes.safetensors'));
});

describe('ditc train', () => {
  const ARGS = ['train', 'linear.ts', '--data', 'stripes.safetensors', '--batch', '4', '--log-every', '5', '--steps', '40']; // prettier-ignore
  const train = (out: string) => ditc([...ARGS, '--checkpoint-every', '10', '--out', out], cwd);
  const weights = (out: string) => readFileSync(join(cwd, out, 'weights.safetensors'));
  const measured = (out: string) => readMetrics(join(cwd, out, 'metrics.jsonl')).map(({ wall: _, ...rest }) => rest);

  it('goes on from the last checkpoint, to the same weights and metrics', async () => {
    expect(await train('whole')).toMatchObject({ code: 0 });
    const { code, err } = await losing([60], () => train('lost'));
    expect(code, err).toBe(0);
    const [, step] = /it is opened anew, and training goes on from step (\d+), the last that a checkpoint kept/.exec(
      err,
    )!;
    expect(['10', '20', '30']).toContain(step);
    expect(weights('lost')).toEqual(weights('whole'));
    expect(measured('lost')).toEqual(measured('whole'));
    expect(writtenIn(join(cwd, 'lost'))).toEqual(writtenIn(join(cwd, 'whole')));
  });

  it('begins anew where there is no checkpoint yet', async () => {
    const { code, err } = await losing([8], () => train('early'));
    expect(code, err).toBe(0);
    expect(err).toContain('training begins anew: no checkpoint was written yet');
    expect(weights('early')).toEqual(weights('whole'));
  });

  it('gives up at the second loss, and says how to go on', async () => {
    const { code, err } = await losing([60, 20], () => train('twice'));
    expect(code).toBe(1);
    expect(err.match(/opened anew/g)).toHaveLength(1);
    expect(err).toMatch(/was lost[^]*fix: .*go on with --resume/);
  });
});

describe('ditc sample', () => {
  const sample = (out: string) =>
    ditc(['sample', 'small.ts', '--classes', '0,1,2,3,4,0', '--batch', '2', '--steps', '3', '--out', out], cwd);
  const picture = (out: string) => readFileSync(join(cwd, out));

  it('goes on from the first picture that is not there, to the same pictures', async () => {
    expect(await sample('whole.npy')).toMatchObject({ code: 0 });
    const { code, err } = await losing([14], () => sample('lost.npy'));
    expect(code, err).toBe(0);
    expect(err).toMatch(/it is opened anew, and sampling goes on from picture [24], the first that is not there/);
    expect(picture('lost.npy')).toEqual(picture('whole.npy'));
  });

  it('begins anew where there is none', async () => {
    const { code, err } = await losing([2], () => sample('early.npy'));
    expect(code, err).toBe(0);
    expect(err).toContain('sampling begins anew: no picture was there yet');
    expect(picture('early.npy')).toEqual(picture('whole.npy'));
  });

  it('into a folder of parts too', async () => {
    const parts = (out: string) =>
      ditc(['sample', 'small.ts', '--num', '6', '--batch', '2', '--steps', '3', '--out', out], cwd);
    expect(await parts('a')).toMatchObject({ code: 0 });
    expect(await losing([14], () => parts('b'))).toMatchObject({ code: 0 });
    const names = readdirSync(join(cwd, 'a')).sort();
    expect(readdirSync(join(cwd, 'b')).sort()).toEqual(names);
    const bytes = names.filter((name) => !name.endsWith('.json'));
    for (const name of bytes) expect(picture(`b/${name}`)).toEqual(picture(`a/${name}`));
  });
});
