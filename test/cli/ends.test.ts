/**
 * How commands end: when nothing more comes, when nobody listens any more, and when they are told to.
 * @once
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { encodeNpy } from '../../runtime/checkpoint/npy.ts';
import { start } from '../runtime/node/children.ts';
import { BIN, SMALL_DIT, spawnDitc } from './cli.ts';
import { writtenIn } from './written.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';

// Each test runs ditc as a process of its own, which takes a while on a busy machine.
vi.setConfig({ testTimeout: 400_000 });

const folder = scratchFolder();
let cwd: string;
beforeAll(async () => {
  cwd = folder({ 'linear.ts': LINEAR, 'small.ts': SMALL_DIT });
  await writeStripes(join(cwd, 'stripes.safetensors'));
  const side = 600;
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 40 };
  const background = '#888';
  for (let i = 0; i < 30; i++) {
    const path = join(cwd, 'photos', String(i % 3));
    mkdirSync(path, { recursive: true });
    await sharp({ create: { width: side, height: side, channels: 3, background, noise } })
      .jpeg()
      .toFile(join(path, `${i}.jpg`));
  }
});

const LONG = `import { defineModel, foriLoop } from 'ditc/dsl';
export default defineModel({ config: {}, entries: { forward(e) {
  const x = e.input('x', [8]);
  return { out: foriLoop(3_000_000, (h) => h.mul(0.999).add(x), x) };
} } });
`;

const TRAIN = ['train', 'linear.ts', '--data', 'stripes.safetensors', '--batch', '4', '--sample-every', '0'];
const PHOTOS = TRAIN.map((word) => (word === 'stripes.safetensors' ? 'photos' : word));

describe('a command whose work is done', () => {
  it('exits with 0, also while pictures are still being decoded that nobody needs any more', async () => {
    for (const out of ['first', 'second']) {
      const { code, err } = await spawnDitc([...PHOTOS, '--steps', '1', '--out', out], cwd);
      expect(code, err).toBe(0);
      expect(existsSync(join(cwd, out, 'weights.safetensors'))).toBe(true);
    }
  });

  it('tells of a picture that cannot be read, also while others are being decoded', async () => {
    const bad = join(cwd, 'photos/1/bad.jpg');
    writeFileSync(bad, 'no picture');
    const { code, err } = await spawnDitc([...PHOTOS, '--steps', '100', '--out', 'unread'], cwd);
    expect(err).toContain('photos/1/bad.jpg — the example cannot be read');
    expect(code).toBe(1);
  });
});

describe('a command that waits for what never comes', () => {
  it('fails, and says so', async () => {
    const child = fileURLToPath(new URL('./unsettled-child.ts', import.meta.url));
    const { code, stdout, stderr } = await start([process.execPath, '--import', 'tsx', child]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toContain('the command came to an end before its work was done');
  });
});

/** Runs ditc with nobody reading `stream`. */
function unheard(stream: 'stdout' | 'stderr', args: string[]): Promise<number | null> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  child[stream].destroy();
  child[stream === 'stdout' ? 'stderr' : 'stdout'].resume();
  return new Promise((resolve) => child.on('close', resolve));
}

describe('a command that nobody listens to', () => {
  it.each(['stdout', 'stderr'] as const)('trains to its end without a reader of %s', async (stream) => {
    const out = `unheard-${stream}`;
    const often = ['--steps', '40', '--checkpoint-every', '10', '--log-every', '1'];
    expect(await unheard(stream, [...TRAIN, ...often, '--out', out])).toBe(0);
    expect(existsSync(join(cwd, out, 'weights.safetensors'))).toBe(true);
  });
});

describe.skipIf(process.platform === 'win32')('a signal', () => {
  /** What ditc says when it gets the signal as soon as `isDue`, and the seconds it takes to end. */
  const told = async (signal: NodeJS.Signals, args: string[], isDue: (sinceFirstLine: number) => boolean) => {
    let [first, at] = [Infinity, 0];
    let timer: NodeJS.Timeout | undefined;
    const result = await spawnDitc(args, cwd, (child) => {
      child.stderr.once('data', () => (first = performance.now()));
      timer = setInterval(() => {
        if (!isDue(performance.now() - first)) return;
        clearInterval(timer);
        at = performance.now();
        child.kill(signal);
      }, 10);
    }).finally(() => clearInterval(timer));
    return { ...result, seconds: (performance.now() - at) / 1000 };
  };

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends a compilation at once', async (signal, expected) => {
    const large = folder({
      'large.ts': SMALL_DIT.replace('depth: 1', 'depth: 28').replace('patchSize: 4', 'patchSize: 2'),
    });
    const args = ['train', join(large, 'large.ts'), '--data', 'photos', '--steps', '9', '--out', 'never'];
    const began = performance.now();
    // The first line is the driver's, when the device is opened; what follows is the compilation.
    const isDue = (since: number) => since > 500 || performance.now() - began > 20_000;
    const { code, seconds } = await told(signal, args, isDue);
    expect(code).toBe(expected);
    expect(seconds).toBeLessThan(2);
    expect(existsSync(join(cwd, 'never'))).toBe(false);
  });

  it('SIGINT ends a loop of millions of turns at once', async () => {
    const long = folder({ 'long.ts': LONG });
    writeFileSync(join(cwd, 'x.npy'), encodeNpy({ dtype: 'f32', shape: [8], data: new Float32Array(8) }));
    const args = ['run', join(long, 'long.ts'), '--entry', 'forward', '--input', 'x=x.npy', '--out', 'looped'];
    // On a device that computes nothing the host does nothing but encode turns: for a minute.
    vi.stubEnv('DITC_ADAPTER', 'null');
    const began = performance.now();
    const { code, seconds } = await told('SIGINT', args, () => performance.now() - began > 6000).finally(vi.unstubAllEnvs); // prettier-ignore
    expect(code).toBe(130);
    expect(seconds).toBeLessThan(2);
    expect(existsSync(join(cwd, 'looped'))).toBe(false);
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('%s lets a training write a checkpoint', async (signal) => {
    const metrics = join(cwd, signal, 'metrics.jsonl');
    const args = [...TRAIN, '--steps', '1000000', '--log-every', '1', '--out', signal];
    const { code, out, err } = await told(signal, args, () => existsSync(metrics));
    expect(code, err).toBe(0);
    expect(out).toContain(`stopped; wrote ${signal}/checkpoints/`);
    expect(writtenIn(join(cwd, signal))).toEqual([
      'checkpoints',
      'events.out.tfevents.',
      'metrics.jsonl',
      'training.html',
    ]);
  });

  // `script` has a terminal of its own, which closes when it is killed. The shell in it tells its job, as any shell does.
  it.skipIf(!existsSync('/usr/bin/script'))(
    'of a terminal that closes lets a training write a checkpoint',
    async () => {
      const args = [...TRAIN, '--steps', '1000000', '--log-every', '1', '--out', 'closed'];
      const command = `trap 'kill -HUP $job' HUP; '${process.execPath}' '${BIN}' ${args.join(' ')} & job=$!; wait $job; wait $job; echo $? > code`;
      const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], { cwd, stdio: 'ignore' });
      const until = async (name: string) => {
        while (!existsSync(join(cwd, name))) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await until('closed/metrics.jsonl');
      child.kill('SIGKILL');
      await until('code');
      await vi.waitFor(() => expect(readFileSync(join(cwd, 'code'), 'utf8')).toBe('0\n'));
      expect(writtenIn(join(cwd, 'closed'))).toEqual([
        'checkpoints',
        'events.out.tfevents.',
        'metrics.jsonl',
        'training.html',
      ]);
    },
  );
});
