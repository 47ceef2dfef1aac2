/** Options without effect are named, and what makes no sense is refused, before any work is done. */
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';

/** Draws noise, whatever it is asked for. */
const NOISE = `import { defineModel } from 'ditc/dsl';
export default defineModel({
  config: {},
  picture: { range: [-1, 1] },
  entries: {
    sampleStart(e) {
      const [low] = e.input('seed', [2], 'u32').unstack();
      e.input('first', [], 'u32');
      e.update(e.state('x', [e.batch, 1, 4, 4]), low.cast('f32').mul(0).add(0.5).broadcastTo(e.batch, 1, 4, 4));
      e.update(e.state('step', [], 'i32'), e.state('step', [], 'i32').mul(0));
    },
    sampleStep(e) {
      const x = e.state('x', [e.batch, 1, 4, 4]);
      e.update(x, x.mul(e.input('cfgScale', [])).add(e.input('y', [e.batch], 'i32').cast('f32').mul(0).reshape(e.batch, 1, 1, 1)));
    },
  },
});
`;

let cwd: string;
beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT, 'linear.ts': LINEAR, 'noise.ts': NOISE });
  await writeStripes(join(cwd, 'stripes.safetensors'));
  await writeStripes(join(cwd, 'one.safetensors'), 8, () => 0);
});

describe('the strength of guidance', () => {
  it.each(['-1', '1e9', 'NaN', 'Infinity', ''])('is not %j', async (cfg) => {
    const args = ['sample', 'small.ts', '--classes', '0', '--steps', '1', `--cfg=${cfg}`, '--out', 'x.png'];
    const { code, err } = await ditc(args, cwd);
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining(`--cfg is ${cfg || 'empty'}`) });
    expect(err).toContain('give a number from 0 to 100');
  });
});

describe('an option about another', () => {
  const sample = ['sample', 'small.ts', '--classes', '0', '--out', 'x.png'];
  const run = ['run', 'small.ts', '--entry', 'forward', '--out', 'x'];
  const train = ['train', 'linear.ts', '--data', 'stripes.safetensors', '--steps', '1', '--out', 'x'];
  it.each([
    [[...sample, '--on-mismatch', 'fit'], '--on-mismatch is for --weights'],
    [[...sample, '--part', 'ema'], '--part is for --weights'],
    [[...sample, '--vae-weights', 'vae.pt'], '--vae-weights is for --vae'],
    [[...run, '--on-mismatch', 'fit'], '--on-mismatch is for --weights'],
    [[...run, '--part', 'model'], '--part is for --weights'],
    [[...train, '--on-mismatch', 'fit'], '--on-mismatch is for --weights'],
    [[...train, '--part', 'ema'], '--part is for --weights'],
    [['verify', 'small.ts', '--part', 'ema'], '--part is for --weights'],
  ])('is refused without that one: %j', async (args, told) => {
    const { code, err } = await ditc(args, cwd);
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining(told) });
  });
});

describe('an option that a model does not read', () => {
  it('is named when pictures are drawn', async () => {
    const drawn = async (...more: string[]) =>
      ditc(['sample', 'noise.ts', '--classes', '0', '--out', 'x.npy', ...more], cwd);
    const { code, err } = await drawn('--steps', '9', '--cfg-channels', '3');
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(err).toContain(
      'note: --steps and --cfg-channels have no effect: noise reads no option steps or cfgChannels',
    );
    expect((await drawn()).err).not.toContain('no effect');
  });

  it('is named when a model is trained, and so are classes that the data lacks', async () => {
    const train = async (data: string, out: string, ...more: string[]) =>
      ditc(['train', 'linear.ts', '--data', data, '--batch', '4', '--steps', '1', '--out', out, ...more], cwd);
    const first = await train('one.safetensors', 'one', '--min-snr', '5', '--lr', '0.1');
    expect(first).toMatchObject({ code: 0 });
    expect(first.err).toContain('note: --min-snr has no effect: linear reads no option minSnr');
    expect(first.err).toContain('note: the data has 1 class, the model 3: the other 2 are not trained');
    // Where nobody watches, it says what it does before it has to wait.
    expect(first.err).toMatch(/^linear on \S+: compiling$/m);
    const second = await train('stripes.safetensors', 'all');
    expect(second).toMatchObject({ code: 0 });
    expect(second.err).not.toMatch(/no effect|not trained/);
  });
});
