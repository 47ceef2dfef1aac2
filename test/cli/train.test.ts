/** `ditc train` as a user has it: what it writes, stopping and going on bit by bit, and what it refuses. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { openFile } from '../../runtime/node/file.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT, spawnDitc, TINY } from './cli.ts';
import { writtenIn } from './written.ts';
import { LINEAR, SIZE, writeStripes } from './linear-denoiser.ts';

const folder = scratchFolder();
let cwd: string;
beforeAll(async () => {
  cwd = folder({
    'linear.ts': LINEAR,
    'tiny.ts': TINY,
    'other.ts': LINEAR.replace('{ size, numClasses }', '{ size, numClasses, depth: 2 }'),
  });
  await writeStripes(join(cwd, 'stripes.safetensors'));
  await writeStripes(join(cwd, 'more.safetensors'), 26);
  await writeStripes(join(cwd, 'classes.safetensors'), 25, (i) => i % 4);
});

const ARGS = ['train', 'linear.ts', '--data', 'stripes.safetensors', '--batch', '4', '--log-every', '5'];
const train = (out: string, ...args: string[]) => ditc([...ARGS, '--out', out, ...args], cwd);
const bytesOf = (...path: string[]) => readFileSync(join(cwd, ...path));
/** Metrics without what a clock says. */
const measured = (out: string) => readMetrics(join(cwd, out, 'metrics.jsonl')).map(({ wall: _, ...rest }) => rest);
const checkpoints = (out: string) => readdirSync(join(cwd, out, 'checkpoints')).sort();

async function tensors(path: string): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(await openFile(join(cwd, path)));
  const values = new Map<string, Float32Array>();
  for (const [name, { dtype }] of file.tensors) if (dtype !== 'i32') values.set(name, await file.readF32(name));
  await file.close();
  return values;
}

/** From now on the disk is full after a file's first piece. Returns what frees it. */
async function fillDisk(): Promise<() => void> {
  const handle = await open(join(cwd, 'linear.ts'), 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const written = new Set<FileHandle>();
  const { write } = prototype;
  prototype.write = async function (this: FileHandle, ...args: unknown[]) {
    if (written.has(this)) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    written.add(this);
    return Reflect.apply(write, this, args);
  } as typeof write;
  return () => void (prototype.write = write);
}

describe('train', () => {
  it('writes metrics, a page, samples, checkpoints and the averaged weights; and the loss falls', async () => {
    const every = ['--checkpoint-every', '10', '--keep', '2', '--sample-every', '25', '--sample-classes', '0-2'];
    const { code, out, err } = await train('whole', '--steps', '60', ...every, '--json');
    expect(code, err).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ step: 60, finished: true, weights: 'whole/weights.safetensors' });
    expect(err).toMatch(/^linear on .*: 25 examples of 3 classes, batch 4, .* on the device$/m);
    const metrics = measured('whole');
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => 5 * (i + 1)));
    expect(metrics[11].loss!).toBeLessThan(metrics[0].loss! / 3);
    expect(metrics[11]).toMatchObject({ epoch: 9, lr: 0.1, mse: null });
    expect(report.loss).toBe(metrics[11].loss);
    expect(checkpoints('whole')).toEqual(['0000050.safetensors', '0000060.safetensors', 'latest']);
    expect(readdirSync(join(cwd, 'whole/samples'))).toEqual(['0000025.png', '0000050.png', '0000060.png']);
    expect(PNG.sync.read(bytesOf('whole/samples/0000060.png')).width).toBe(3 * (64 + 2) + 2);
    const page = bytesOf('whole/training.html').toString();
    for (const step of ['0000025', '0000060']) expect(page).toContain(`src="samples/${step}.png"`);
    const [weights, last] = [
      await tensors('whole/weights.safetensors'),
      await tensors('whole/checkpoints/0000060.safetensors'),
    ];
    expect([...weights.keys()].sort()).toEqual(['classes', 'weight']);
    for (const [name, values] of weights) expect(values).toEqual(last.get(`state/ema.${name}`));
    expect(weights.get('weight')).not.toEqual(last.get('param/weight'));
  });

  it('gives weights that can be sampled, in half precision too', async () => {
    const { code, err } = await train('half', '--steps', '5', '--sample-every', '0', '--weights-dtype', 'f16');
    expect(code, err).toBe(0);
    expect(existsSync(join(cwd, 'half/samples'))).toBe(false);
    const weights = ['--weights', 'half/weights.safetensors'];
    const sampled = await ditc(['sample', 'linear.ts', ...weights, '--classes', '0-2', '--out', 'half.png'], cwd);
    expect(sampled.code, sampled.err).toBe(0);
    const [half, whole] = [
      await tensors('half/weights.safetensors'),
      await tensors('half/checkpoints/0000005.safetensors'),
    ];
    const [got, want] = [half.get('weight')!, whole.get('state/ema.weight')!];
    got.forEach((value, i) =>
      expect(Math.abs(value - want[i])).toBeLessThanOrEqual(Math.abs(want[i]) * 2 ** -11 + 2 ** -25),
    );
  });

  it('begins with given weights', async () => {
    await train('begin', '--steps', '10', '--sample-every', '0');
    await train('from', '--steps', '1', '--sample-every', '0', '--lr', '0', '--weights', 'begin/weights.safetensors');
    expect(bytesOf('from/weights.safetensors').subarray(-1000)).toEqual(
      bytesOf('begin/weights.safetensors').subarray(-1000),
    );
  });

  it('takes several batches to a step', async () => {
    await train('parts', '--steps', '6', '--accumulate', '5', '--sample-every', '0');
    // 6 steps of 5 batches of 4 from 25 examples.
    expect(measured('parts')).toMatchObject([{ step: 5, epoch: 4 }]);
  });
});

describe('a training that was broken off', () => {
  const every = ['--checkpoint-every', '30', '--sample-every', '0', '--flip', '--seed', '5', '--keep', '1000'];
  const unbroken = (out: string) => {
    expect(bytesOf(out, 'checkpoints/0000060.safetensors')).toEqual(
      bytesOf('unbroken/checkpoints/0000060.safetensors'),
    );
    expect(bytesOf(out, 'weights.safetensors')).toEqual(bytesOf('unbroken/weights.safetensors'));
    expect(measured(out)).toEqual(measured('unbroken'));
  };
  beforeAll(async () => {
    const { code, err } = await train('unbroken', '--steps', '60', ...every);
    expect(code, err).toBe(0);
  });

  /** Ends a training of any length with the signal, when the checkpoint of step 30 is there. */
  const broken = (out: string, signal: NodeJS.Signals) => {
    let timer: NodeJS.Timeout | undefined;
    return spawnDitc([...ARGS, '--out', out, '--steps', '100000', ...every], cwd, (child) => {
      timer = setInterval(() => {
        if (existsSync(join(cwd, out, 'checkpoints/0000030.safetensors'))) child.kill(signal);
      }, 5);
    }).finally(() => clearInterval(timer));
  };

  it('by kill −9 goes on bit by bit as if it had not been', async () => {
    expect((await broken('killed', 'SIGKILL')).code).toBe(128 + 9);
    const resumed = await train('killed', '--steps', '60', '--resume', 'killed/checkpoints/0000030.safetensors');
    expect(resumed.code, resumed.err).toBe(0);
    unbroken('killed');
  });

  it('by Ctrl-C writes a checkpoint, exits with 0 and goes on from the latest', async () => {
    const until = ['--steps', '100000', ...every, '--checkpoint-every', '0'];
    let timer: NodeJS.Timeout | undefined;
    const { code, out, err } = await spawnDitc([...ARGS, '--out', 'stopped', ...until], cwd, (child) => {
      timer = setInterval(() => {
        if (existsSync(join(cwd, 'stopped/metrics.jsonl')) && measured('stopped').length > 1) child.kill('SIGINT');
        if (existsSync(join(cwd, 'stopped/metrics.jsonl')) && measured('stopped').length > 1) clearInterval(timer);
      }, 5);
    });
    expect(code, err).toBe(0);
    expect(out).toMatch(/^stopped; wrote stopped\/checkpoints\/(\d{7})\.safetensors {2}[\d,]+ steps/);
    expect(err).toContain('--resume latest');
    const step = Number(/(\d{7})/.exec(out)![1]);
    expect(checkpoints('stopped')).toHaveLength(2);
    expect(existsSync(join(cwd, 'stopped/weights.safetensors'))).toBe(false);
    const steps = String(Math.ceil((step + 1) / 60) * 60);
    const whole = await train('straight', '--steps', steps, ...every);
    const resumed = await train('stopped', '--steps', steps, '--resume', 'latest');
    expect([whole.code, resumed.code], resumed.err).toEqual([0, 0]);
    expect(bytesOf('stopped/weights.safetensors')).toEqual(bytesOf('straight/weights.safetensors'));
    expect(measured('stopped')).toEqual(measured('straight'));
  });

  it('before its first step says that nothing was written, and leaves nothing', async () => {
    const { code, out, err } = await spawnDitc([...ARGS, '--out', 'none', '--steps', '60'], cwd, (child) => {
      child.stderr!.on('data', (chunk) => void (String(chunk).includes('on the device') && child.kill('SIGINT')));
    });
    expect({ code, out }).toEqual({ code: 128 + 2, out: '' });
    expect(err).toMatch(/\nstopped before the first step: nothing was written\n$/);
    expect(existsSync(join(cwd, 'none'))).toBe(false);
  });

  it('by a checkpoint that does not fit on the disk keeps the one before', async () => {
    await train('full', '--steps', '30', ...every);
    const before = checkpoints('full').map((name) => bytesOf('full/checkpoints', name));
    const restore = await fillDisk();
    const limited = await train('full', '--steps', '60', '--resume', 'latest').finally(restore);
    expect(limited.code).toBe(1);
    expect(limited.err).toContain('0000060.safetensors — cannot write the file\n   the disk is full (ENOSPC)');
    expect(limited.err).toContain('the last good checkpoint is full/checkpoints/0000030.safetensors');
    expect(checkpoints('full').map((name) => bytesOf('full/checkpoints', name))).toEqual(before);
    const resumed = await train('full', '--steps', '60', '--resume', 'latest');
    expect(resumed.code, resumed.err).toBe(0);
    unbroken('full');
  });

  it('says what was set otherwise, and goes on with that', async () => {
    const args = [
      '--resume',
      'unbroken/checkpoints/0000030.safetensors',
      '--steps',
      '31',
      '--lr',
      '0.2',
      '--batch',
      '8',
    ];
    const { code, err } = await train('changed', ...args);
    expect(code, err).toBe(0);
    expect(err).toContain('note: batch is 8 from here on, it was 4');
    expect(err).toContain('note: lr is 0.2 from here on, it was unset');
  });

  it.each<[string, string[], number, string]>([
    ['another model', ['train', 'other.ts'], 1, 'depth: the checkpoint has missing, the model 2'],
    ['other data', ['--data', 'more.safetensors'], 1, '26 examples here, 25 examples when unbroken/checkpoints'],
    ['another order', ['--seed', '6'], 2, '--seed is 6\n   the checkpoint was trained with 5'],
    ['fewer steps', ['--steps', '29'], 2, '--steps is 29\n   unbroken/checkpoints/0000030.safetensors is of step 30'],
    ['weights only', ['--resume', 'unbroken/weights.safetensors'], 1, 'it is no checkpoint of a training'],
    ['weights besides', ['--weights', 'unbroken/weights.safetensors'], 2, '--weights and --resume exclude each other'],
    ['no checkpoint', ['--resume', 'latest'], 1, 'there is no checkpoint to go on from'],
  ])('does not go on with %s', async (_, given, status, message) => {
    const resume = ['--resume', 'unbroken/checkpoints/0000030.safetensors', '--steps', '31'];
    const args = given[0] === 'train' ? [...given, ...ARGS.slice(2), ...resume] : [...ARGS, ...resume, ...given];
    const { code, err } = await ditc([...args, '--out', 'wrong'], cwd);
    expect({ code, err }).toEqual({ code: status, err: expect.stringContaining(message) });
    expect(existsSync(join(cwd, 'wrong'))).toBe(false);
  });
});

describe('a DiT', () => {
  it('trains, draws samples on the way and goes on bit by bit', async () => {
    writeFileSync(join(cwd, 'small.ts'), SMALL_DIT);
    await writeStripes(join(cwd, 'large.safetensors'), 25, (i) => i % 5, 8);
    const dit = (out: string, ...args: string[]) => {
      const data = ['--data', 'large.safetensors', '--steps', '6', '--sample-every', '4', '--sample-steps', '2'];
      return ditc(['train', 'small.ts', ...data, '--log-every', '1', '--out', out, ...args], cwd);
    };
    const options = '--batch 3 --lr 0.01 --warmup 4 --clip 1 --ema 0.5 --accumulate 2'.split(' ');
    const whole = await dit('dit', ...options, '--checkpoint-every', '3');
    expect(whole.code, whole.err).toBe(0);
    const metrics = measured('dit');
    metrics.forEach(({ lr }, i) => expect(lr).toBeCloseTo(0.01 * Math.min((i + 1) / 4, 1), 8));
    for (const { loss, mse, vb, gradNorm, buckets } of metrics) {
      expect(loss).toBeCloseTo(mse! + vb!, 5);
      expect(gradNorm).toBeGreaterThan(0);
      // Of three images, at most three slices have seen one, and together they have seen the mean.
      const seen = buckets!.mse.filter((mean) => mean !== null);
      expect(seen.length).toBeLessThanOrEqual(3);
      expect(Math.min(...seen)).toBeLessThanOrEqual(mse! * (1 + 1e-6));
      expect(Math.max(...seen)).toBeGreaterThanOrEqual(mse! * (1 - 1e-6));
    }
    const resumed = await dit('dit2', '--resume', 'dit/checkpoints/0000003.safetensors');
    expect(resumed.code, resumed.err).toBe(0);
    for (const file of ['checkpoints/0000006.safetensors', 'weights.safetensors', 'samples/0000006.png'])
      expect(bytesOf('dit2', file), file).toEqual(bytesOf('dit', file));
    expect(measured('dit2')).toEqual(metrics.slice(3));
  }, 300_000);
});

describe('train refuses', () => {
  it.each<[string, string[], number, string]>([
    ['labels that the model has no class for', ['--data', 'classes.safetensors'], 1, 'the model has 3 classes'],
    ['a model without training entries', ['train', 'tiny.ts'], 1, 'it has no entry trainStart and trainStep'],
    ['data that is not there', ['--data', 'nowhere'], 1, 'there is no such file, folder or installed package'],
    ['no steps', ['--steps', '0'], 2, '--steps is 0'],
    ['an unknown size', ['--memory', 'much'], 2, '--memory is much\n   fix: give a size, such as 4GB or 512MiB'],
    ['samples of unknown classes', ['--sample-classes', '3'], 2, 'linear has no class 3'],
  ])('%s', async (_, given, status, message) => {
    const args = given[0] === 'train' ? [...given, ...ARGS.slice(2)] : [...ARGS, ...given];
    const steps = given.includes('--steps') ? [] : ['--steps', '1'];
    const { code, err } = await ditc([...args, ...steps, '--out', 'refused'], cwd);
    expect({ code, err }).toEqual({ code: status, err: expect.stringContaining(message) });
    expect(existsSync(join(cwd, 'refused'))).toBe(false);
  });

  it('pictures that cannot be read, or leaves them out', async () => {
    const picture = new PNG({ width: SIZE, height: SIZE });
    picture.data.fill(200);
    const png = PNG.sync.write(picture);
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png']) {
      mkdirSync(join(cwd, 'pictures', name, '..'), { recursive: true });
      writeFileSync(join(cwd, 'pictures', name), name === 'b/1.png' ? png.subarray(0, 50) : png);
    }
    const args = ['--data', 'pictures', '--steps', '5', '--sample-every', '0'];
    const refused = await train('bad', ...args);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/b\/1\.png — the example cannot be read/);
    expect(refused.err).toContain('fix: remove or replace it, or leave such out with --on-bad skip');
    const skipped = await train('good', ...args, '--on-bad', 'skip');
    expect(skipped.code, skipped.err).toBe(0);
    // 5 steps of 4 from 3 that can be read.
    expect(measured('good')).toMatchObject([{ step: 5, epoch: 6 }]);
  });

  it('to write over a training', async () => {
    const { code, err } = await train('whole', '--steps', '1');
    expect(code).toBe(2);
    expect(err).toContain('holds a training already\n   fix: go on with it: --resume latest; or give another --out');
  });

  it('what --memory does not allow, and says which batch it does', async () => {
    const memory = (batch: number) => [
      '--steps',
      '1',
      '--memory',
      '20kB',
      '--batch',
      String(batch),
      '--sample-every',
      '0',
    ];
    const { code, err } = await train('large', ...memory(500));
    expect(code).toBe(1);
    const fits = Number(/fix: give --batch (\d+), the largest that fits/.exec(err)?.[1]);
    expect(fits).toBeGreaterThan(1);
    expect(existsSync(join(cwd, 'large'))).toBe(false);
    expect((await train('large', ...memory(fits + 1))).code).toBe(1);
    const fitting = await train('large', ...memory(fits));
    expect(fitting.code, fitting.err).toBe(0);
  });

  it('to go on when the loss is not finite, and names the last good checkpoint', async () => {
    const often = ['--checkpoint-every', '1', '--sample-every', '0', '--keep', '1000'];
    const { code, err } = await train('astray', '--steps', '5000', '--lr', '10', ...often);
    expect(code).toBe(1);
    const [, step, why, good] =
      /training went astray by step (\d+)\n[^]*?\n {3}the (?:loss|gradient norm) is (\w+)\n {3}the first such value is made by kernel \w+ in step \1, f32\S+: .*\n {3}float32 holds no larger numbers: the largest number that it reads is \d\S+e\+\d+, in \w+\n {3}the last good checkpoint is (\S+)/.exec(
        err,
      )!;
    expect(['NaN', 'Infinity']).toContain(why);
    expect(Number(step)).toBeGreaterThan(1);
    expect(checkpoints('astray').at(-2)).toBe(good.split('/').at(-1));
    for (const [name, values] of await tensors(good)) expect(values.every(Number.isFinite), name).toBe(true);
    expect(err).toMatch(/^linear\.ts:\d+:\d+ — training went astray/m);
    expect(err).toContain('ditc verify linear.ts');
    const written = writtenIn(join(cwd, 'astray'));
    expect(written).toEqual(['checkpoints', 'events.out.tfevents.', 'metrics.jsonl', 'training.html']);
    expect(existsSync(join(cwd, 'astray/weights.safetensors'))).toBe(false);
  });
});
