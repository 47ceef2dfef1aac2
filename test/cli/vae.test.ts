/** The latent pipeline as a user has it: an autoencoder trains, encodes and decodes; a model trains on its latents and is sampled through it. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../../cli/metrics.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { loadModel } from '../../cli/model.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { openFile } from '../../runtime/node/file.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

const SIDE = 8;
const VAE = `import { autoencoderKL } from 'ditc/models/vae';
export default autoencoderKL({ sampleSize: ${SIDE}, latentChannels: 2, blockOutChannels: [4, 4], layersPerBlock: 1, normNumGroups: 2, scalingFactor: 0.5 });
`;
/** As in linear-denoiser.ts, on the latents [2,4,4] of that autoencoder. */
const LATENT = `import { dit } from 'ditc/models/dit';
export default dit({ inputSize: 4, patchSize: 2, inChannels: 2, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 2 });
`;

const folder = scratchFolder();
let cwd: string;

/** Pictures of two classes: colour, grey, with alpha, of other sizes; all can be read. */
function writePictures(): void {
  const picture = (width: number, height: number, seed: number, alpha: boolean) => {
    const png = new PNG({ width, height });
    for (let i = 0; i < png.data.length; i += 4) {
      const pixel = i / 4;
      png.data.set(
        [(pixel * 37 + seed * 61) % 256, (pixel * 11) % 256, seed * 50, alpha && pixel % 3 === 0 ? 0 : 255],
        i,
      );
    }
    return png;
  };
  for (const name of ['a', 'b']) mkdirSync(join(cwd, 'pictures', name), { recursive: true });
  const write = (name: string, png: PNG, options: object = {}) =>
    writeFileSync(join(cwd, 'pictures', name), PNG.sync.write(png, options));
  write('a/0.png', picture(SIDE, SIDE, 0, false));
  write('a/1.png', picture(20, 12, 1, false));
  write('a/2.png', picture(SIDE, SIDE, 2, true));
  write('b/0.png', picture(SIDE, SIDE, 3, false), { colorType: 0 });
  write('b/1.png', picture(9, 30, 4, false), { bitDepth: 16 });
}

async function tensors(path: string) {
  const file = await openSafetensors(await openFile(join(cwd, path)));
  const { metadata } = file;
  const values = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [name, { shape }] of file.tensors) values.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  return { values, metadata };
}

const ENCODE = ['encode', '--vae', 'vae.ts', '--weights', 'trained.safetensors', '--data', 'pictures'];

beforeAll(async () => {
  cwd = folder({ 'vae.ts': VAE, 'latent.ts': LATENT });
  writePictures();
  const args = ['--data', 'pictures', '--batch', '2', '--lr', '1e-2', '--ema', '0.5', '--log-every', '2'];
  const options = ['--reconstruction', 'mse', '--kl-weight', '1e-4', '--sample-every', '4', '--flip'];
  const { code, err } = await ditc(['train', 'vae.ts', ...args, ...options, '--steps', '6', '--out', 'run'], cwd);
  expect(code, err).toBe(0);
  writeFileSync(join(cwd, 'trained.safetensors'), readFileSync(join(cwd, 'run/weights.safetensors')));
}, 300_000);

describe('an autoencoder', () => {
  it('trains: reconstruction, divergence and PSNR are recorded, and pictures are drawn on the way', () => {
    const metrics = readMetrics(join(cwd, 'run/metrics.jsonl'));
    expect(metrics.map(({ step }) => step)).toEqual([2, 4, 6]);
    for (const { loss, more } of metrics) {
      const { reconstruction, kl, psnr } = more!;
      expect(loss).toBeCloseTo(reconstruction! + (kl! * 1e-4) / (3 * SIDE * SIDE), 5);
      // The mean of the batch's own; equal where both pictures are as far off.
      expect(psnr!).toBeGreaterThanOrEqual(10 * Math.log10(4 / reconstruction!) - 1e-3);
    }
    expect(readdirSync(join(cwd, 'run/samples'))).toEqual(['0000004.png', '0000006.png']);
    const { width, height } = PNG.sync.read(readFileSync(join(cwd, 'run/samples/0000006.png')));
    expect([width, height]).toEqual([8 * (64 + 2) + 2, 2 * (64 + 2) + 2]);
    expect(readFileSync(join(cwd, 'run/training.html'), 'utf8')).toContain('KL divergence');
  });

  it('encodes pictures of any size and kind as the interpreter does, both flips of each', async () => {
    const { code, err, out } = await ditc([...ENCODE, '--out', 'latents.safetensors'], cwd);
    expect(code, err).toBe(0);
    expect(out).toMatch(/^wrote latents\.safetensors {2}5 pictures as moments \[4, 4, 4\] of both flips/);
    const { values, metadata } = await tensors('latents.safetensors');
    expect([...values.keys()].sort()).toEqual(['moments', 'moments_flipped', 'y']);
    expect([...values.get('y')!.data]).toEqual([0, 0, 0, 1, 1]);
    expect(metadata).toMatchObject({ 'ditc.classes': '["a","b"]', 'ditc.latentScale': '0.5' });
    const { graph } = traceEntry(loadModel(join(cwd, 'vae.ts')).model, 'encode', { batch: 1 });
    const weights = (await tensors('trained.safetensors')).values;
    const png = PNG.sync.read(readFileSync(join(cwd, 'pictures/a/0.png')));
    for (const [name, column] of [
      ['moments', (x: number) => x],
      ['moments_flipped', (x: number) => SIDE - 1 - x],
    ] as const) {
      const image = Float64Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
        const [c, y, x] = [Math.floor(i / SIDE ** 2), Math.floor(i / SIDE) % SIDE, i % SIDE];
        return png.data[(y * SIDE + column(x)) * 4 + c] / 127.5 - 1;
      });
      const bindings = { ...Object.fromEntries([...weights].map(([key, { data }]) => [key, data])), image };
      const want = interpret(graph, bindings).outputs.moments.data;
      expect(relativeError(values.get(name)!.data.subarray(0, want.length), want), name).toBeLessThan(1e-4);
    }
  });

  it('decodes what it encoded: the mode, to pictures and to values', async () => {
    const decode = [
      'decode',
      '--vae',
      'vae.ts',
      '--weights',
      'trained.safetensors',
      '--latents',
      'latents.safetensors',
    ];
    const grid = await ditc([...decode, '--count', '3', '--out', 'decoded.png'], cwd);
    expect(grid.code, grid.err).toBe(0);
    expect(PNG.sync.read(readFileSync(join(cwd, 'decoded.png'))).width).toBe(3 * (64 + 2) + 2);
    const each = await ditc([...decode, '--batch', '2', '--out', 'decoded'], cwd);
    expect(each.code, each.err).toBe(0);
    expect(readdirSync(join(cwd, 'decoded'))).toHaveLength(5);
  });

  it('writes several files past a size, goes on with those that are missing, and trains on them together', async () => {
    // A picture's two moments are 512 bytes.
    const args = [...ENCODE, '--out', 'many.safetensors', '--shard', '1100'];
    expect((await ditc(args, cwd)).code).toBe(0);
    const names = [1, 2, 3].map((i) => `many-0000${i}-of-00003.safetensors`);
    expect(readdirSync(cwd).filter((name) => name.startsWith('many'))).toEqual(names);
    const before = names.map((name) => readFileSync(join(cwd, name)));
    rmSync(join(cwd, names[1]));
    const train = ['train', 'latent.ts', '--data', 'many.safetensors', '--steps', '1', '--batch', '2'];
    const broken = await ditc([...train, '--out', 'broken'], cwd);
    expect(broken.err).toContain('part 2 of 3 is missing');
    const again = await ditc(args, cwd);
    expect(again.err).toContain('note: 2 of 3 files done already');
    expect(names.map((name) => readFileSync(join(cwd, name)))).toEqual(before);
    const other = await ditc([...args, '--dtype', 'f16', '--shard', '600'], cwd);
    expect(other.err).toContain('many-00001-of-00003.safetensors is there\n   it was made from other options');
    const larger = await ditc([...ENCODE, '--out', 'many.safetensors', '--shard', '1600'], cwd);
    expect(larger.code).toBe(2);
    expect(larger.err).toMatch(/many-0000\d-of-00003\.safetensors is there\n {3}with this --shard there are 2 files/);
  });

  describe('done already', () => {
    const encode = () =>
      ditc([...ENCODE.map((word) => word.replace(/^pictures$/, 'copies')), '--out', 'once.safetensors'], cwd);
    const undo: (() => void)[] = [];
    beforeAll(async () => {
      cpSync(join(cwd, 'pictures'), join(cwd, 'copies'), { recursive: true });
      expect((await encode()).code).toBe(0);
    });
    afterEach(() => undo.splice(0).forEach((action) => action()));
    /** Puts other bytes into a file until the test is over. */
    const change = (name: string, bytes: Uint8Array | string) => {
      const [path, before] = [join(cwd, name), readFileSync(join(cwd, name))];
      writeFileSync(path, bytes);
      undo.push(() => writeFileSync(path, before));
    };

    it('is what was made from the same pictures, weights and model, whenever they were written', async () => {
      const later = Date.now() / 1000 + 100;
      utimesSync(join(cwd, 'copies/a/0.png'), later, later);
      change('vae.ts', `// Said otherwise.\n\n${VAE}`);
      expect(await encode()).toMatchObject({ code: 0, err: expect.stringContaining('1 of 1 file done already') });
    });

    it.each<[string, () => void]>([
      ['pictures', () => change('copies/a/0.png', readFileSync(join(cwd, 'copies/a/2.png')))],
      [
        'weights',
        () => {
          const bytes = readFileSync(join(cwd, 'trained.safetensors'));
          bytes[bytes.length - 2] ^= 1;
          change('trained.safetensors', bytes);
        },
      ],
      ['computations of the model', () => change('vae.ts', VAE.replace('normNumGroups: 2', 'normNumGroups: 1'))],
      ['options', () => change('vae.ts', VAE.replace('0.5', '0.25'))],
    ])('is not what was made from other %s', async (what, harm) => {
      harm();
      const { code, err } = await encode();
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`it was made from other ${what}`) });
      expect(err).toContain('fix: remove it, or give another --out');
    });

    it('is not what was made by another part of the weights', async () => {
      const of = (part: string) =>
        ditc(
          [
            'encode',
            '--vae',
            'vae.ts',
            '--weights',
            'run/checkpoints/0000006.safetensors',
            '--part',
            part,
            '--data',
            'copies',
            '--out',
            'part.safetensors',
          ],
          cwd,
        );
      expect((await of('ema')).code).toBe(0);
      expect((await of('ema')).err).toContain('1 of 1 file done already');
      expect(await of('model')).toMatchObject({
        code: 2,
        err: expect.stringContaining('it was made from other weights'),
      });
    });
  });

  it('puts nothing among the pictures, or over what it reads', async () => {
    const among = await ditc([...ENCODE, '--out', 'pictures/latents.safetensors'], cwd);
    expect(among).toMatchObject({ code: 2, err: expect.stringContaining('lies in the data') });
    const decode = [
      'decode',
      '--vae',
      'vae.ts',
      '--weights',
      'trained.safetensors',
      '--latents',
      'latents.safetensors',
    ];
    writeFileSync(join(cwd, 'some.npy'), 'latents');
    const over = await ditc([...decode, '--latents', 'some.npy', '--out', './some.npy'], cwd);
    expect(over).toMatchObject({ code: 2, err: expect.stringContaining('--out: ./some.npy is the data') });
  });
});

describe('a model of latents', () => {
  it('trains on draws from the moments, and goes on bit by bit', async () => {
    const args = ['train', 'latent.ts', '--data', 'latents.safetensors', '--batch', '2', '--flip', '--log-every', '1'];
    const run = (out: string, steps: string, ...more: string[]) =>
      ditc([...args, '--steps', steps, '--checkpoint-every', '3', '--out', out, ...more], cwd);
    const whole = await run('whole', '6');
    expect(whole.code, whole.err).toBe(0);
    expect(whole.err).toContain('5 examples of 2 classes');
    expect((await run('parts', '3')).code).toBe(0);
    expect((await run('parts', '6', '--resume', 'latest')).code).toBe(0);
    expect(readFileSync(join(cwd, 'parts/weights.safetensors'))).toEqual(
      readFileSync(join(cwd, 'whole/weights.safetensors')),
    );
    const sample = [
      'sample',
      'latent.ts',
      '--weights',
      'whole/weights.safetensors',
      '--classes',
      '0,1,1',
      '--steps',
      '3',
    ];
    const vae = ['--vae', 'vae.ts', '--vae-weights', 'trained.safetensors'];
    const drawn = await ditc([...sample, ...vae, '--out', 'drawn.png'], cwd);
    expect(drawn.code, drawn.err).toBe(0);
    // The same in two commands.
    expect((await ditc([...sample, '--out', 'drawn.npy'], cwd)).code).toBe(0);
    const decode = ['decode', '--vae', 'vae.ts', '--weights', 'trained.safetensors', '--latents', 'drawn.npy'];
    expect((await ditc([...decode, '--out', 'decoded.png', '--columns', '3'], cwd)).code).toBe(0);
    expect(readFileSync(join(cwd, 'decoded.png'))).toEqual(readFileSync(join(cwd, 'drawn.png')));
  }, 300_000);
});

describe('encode and decode refuse', () => {
  it('weights with missing tensors, naming them', async () => {
    const { values } = await tensors('trained.safetensors');
    values.delete('encoder.conv_in.bias');
    const parts: Uint8Array[] = [];
    const list = [...values].map(([name, { shape, data }]) => ({
      name,
      dtype: 'f32' as const,
      shape,
      chunks: () => [data],
    }));
    await writeSafetensors(async (bytes) => void parts.push(bytes), list);
    writeFileSync(join(cwd, 'half.safetensors'), Buffer.concat(parts));
    const { code, err } = await ditc([...ENCODE, '--weights', 'half.safetensors', '--out', 'no.safetensors'], cwd);
    expect(code).toBe(1);
    expect(err).toContain('encoder.conv_in.bias');
    expect(err).toMatch(/fix: /);
    expect(existsSync(join(cwd, 'no.safetensors'))).toBe(false);
  });

  it('corrupt pictures, or leave them out and name them', async () => {
    mkdirSync(join(cwd, 'bad/a'), { recursive: true });
    const good = readFileSync(join(cwd, 'pictures/a/0.png'));
    writeFileSync(join(cwd, 'bad/a/0.png'), good);
    writeFileSync(join(cwd, 'bad/a/1.png'), good.subarray(0, 60));
    const args = [...ENCODE.slice(0, 5), '--data', 'bad', '--out', 'bad.safetensors'];
    const refused = await ditc(args, cwd);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/bad\/a\/1\.png — the example cannot be read/);
    expect(existsSync(join(cwd, 'bad.safetensors'))).toBe(false);
    const skipped = await ditc([...args, '--on-bad', 'skip'], cwd);
    expect(skipped.code, skipped.err).toBe(0);
    expect(skipped.err).toMatch(/note: 1 picture left out\n {2}bad\/a\/1\.png: /);
    expect((await tensors('bad.safetensors')).values.get('moments')!.shape[0]).toBe(1);
  });

  const LATENTS = ['decode', '--vae', 'vae.ts', '--latents', 'latents.safetensors', '--out', 'x.png'];
  it.each<[string, string[], number, string]>([
    [
      'an autoencoder without weights',
      LATENTS,
      2,
      'there is no vae.safetensors beside it\n   fix: give --weights FILE',
    ],
    ['weights as the model', [...LATENTS, '--vae', 'trained.safetensors'], 2, 'these are weights'],
    ['a model that is none', [...LATENTS, '--vae', 'latent.ts'], 1, 'latent.ts — the model is no autoencoder'],
    [
      'tensors without latents',
      [...LATENTS, '--weights', 'trained.safetensors', '--latents', 'trained.safetensors'],
      1,
      'there are no latents in it',
    ],
    ['another kind of file', [...ENCODE, '--out', 'latents.npz'], 2, 'give FILE.safetensors'],
    [
      'latents as pictures',
      [...ENCODE, '--data', 'latents.safetensors', '--out', 'y.safetensors'],
      1,
      'does not fit the model',
    ],
  ])('%s', async (_, args, code, message) => {
    const result = await ditc(args, cwd);
    expect(result).toEqual({ code, out: '', err: expect.stringContaining(message) });
  });
});
