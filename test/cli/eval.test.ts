/** `ditc eval` on pictures whose features are known: channels' means through a matrix. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../compiler/ops/index.ts';
import { encodeNpy } from '../../runtime/checkpoint/npy.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { writeZip, zipFile } from '../../runtime/checkpoint/zip-write.ts';
import { frechetDistance } from '../../runtime/metrics/frechet.ts';
import { inceptionScore, softmaxRows } from '../../runtime/metrics/inception-score.ts';
import { precisionRecall } from '../../runtime/metrics/manifold.ts';
import { MomentsSum } from '../../runtime/metrics/moments.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';

/** pool: the means of the channels through a matrix; spatial: the picture's left edge; logits: twice the pool. */
const FEATURES = `import { defineModel } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    features(e) {
      const x = e.input('x', [e.batch, 3, Number(e.options.height), Number(e.options.width)]).div(64);
      const pool = e.params.linear('mix', x.mean([2, 3]), 4, { bias: false });
      return { pool, spatial: x.slice(3, 0, 1).slice(1, 0, 1).reshape(e.batch, -1), logits: pool.mul(2) };
    },
  },
});
`;

const [HEIGHT, WIDTH] = [5, 4];
const MIX = [1, -0.5, 0.25, 0.5, 1, -1, -0.25, 0.5, 1, 1, 1, 1];

/** Pictures [N,H,W,3] of bytes, of which the last channel grows brighter with `light`. */
function draw(count: number, seed: number, light: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: count * HEIGHT * WIDTH * 3 }, (_, i) =>
    Math.min(255, Math.floor(random.uniform(0, 200)) + (i % 3 === 2 ? light : 0)),
  );
}

const pixel = (pictures: Uint8Array, n: number, y: number, x: number, c: number): number =>
  pictures[((n * HEIGHT + y) * WIDTH + x) * 3 + c] / 64;

function poolOf(pictures: Uint8Array): Float32Array {
  const count = pictures.length / (HEIGHT * WIDTH * 3);
  const out = new Float32Array(count * 4);
  for (let n = 0; n < count; n++)
    for (let k = 0; k < 4; k++)
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let i = 0; i < HEIGHT * WIDTH; i++) sum += pixel(pictures, n, Math.floor(i / WIDTH), i % WIDTH, c);
        out[n * 4 + k] += MIX[k * 3 + c] * (sum / (HEIGHT * WIDTH));
      }
  return out;
}

function spatialOf(pictures: Uint8Array): Float32Array {
  return Float32Array.from({ length: pictures.length / (WIDTH * 3) }, (_, i) => pixel(pictures, 0, i, 0, 0));
}

function moments(features: Float32Array, width: number) {
  const sum = new MomentsSum(width);
  sum.add(features);
  return sum.finish();
}

const folder = scratchFolder();
const samples = draw(23, 1, 0);
const reference = draw(31, 2, 30);

const npz = async (path: string, files: readonly { name: string; bytes: Uint8Array }[]) => {
  const chunks: Uint8Array[] = [];
  const entries = files.map(({ name, bytes }) => zipFile(name, bytes));
  await writeZip(async (bytes) => void chunks.push(bytes.slice()), entries);
  writeFileSync(path, Buffer.concat(chunks));
};

const npy = (pictures: Uint8Array, height = HEIGHT) =>
  encodeNpy({ dtype: 'u8', shape: [pictures.length / (height * WIDTH * 3), height, WIDTH, 3], data: pictures });

describe('eval', () => {
  let cwd: string;
  beforeAll(async () => {
    cwd = folder({ 'features.ts': FEATURES, 'none.ts': FEATURES.replace('features(e)', 'forward(e)') });
    const chunks: Uint8Array[] = [];
    const mix = { name: 'mix.weight', dtype: 'f32' as const, shape: [4, 3], chunks: () => [Float32Array.from(MIX)] };
    await writeSafetensors(async (bytes) => void chunks.push(bytes.slice()), [mix], {});
    writeFileSync(join(cwd, 'w.safetensors'), Buffer.concat(chunks));
    await npz(join(cwd, 'reference.npz'), [{ name: 'arr_0.npy', bytes: npy(reference) }]);
    writeFileSync(join(cwd, 'samples.npy'), npy(samples));
    mkdirSync(join(cwd, 'samples'));
    for (let n = 0; n < 23; n++) {
      const png = new PNG({ width: WIDTH, height: HEIGHT });
      for (let i = 0; i < HEIGHT * WIDTH; i++) {
        png.data.set(samples.subarray((n * HEIGHT * WIDTH + i) * 3, (n * HEIGHT * WIDTH + i + 1) * 3), i * 4);
        png.data[i * 4 + 3] = 255;
      }
      writeFileSync(join(cwd, 'samples', `${String(n).padStart(2, '0')}.png`), PNG.sync.write(png));
    }
  });

  const network = ['--features', 'features.ts', '--weights', 'w.safetensors'];
  const measured = async (...args: string[]) => {
    const { code, out, err } = await ditc(['eval', ...args, '--json'], cwd);
    expect({ code, err: err.replace(/^note:.*\n/gm, '') }).toEqual({ code: 0, err: '' });
    return JSON.parse(out) as Record<string, number>;
  };

  it.each(['samples', 'samples.npy'])('measures a set against another as the metrics do: %s', async (set) => {
    const [a, b] = [poolOf(samples), poolOf(reference)];
    const got = await measured(set, 'reference.npz', ...network, '--batch', '7');
    const { precision, recall } = precisionRecall({ width: 4, values: b }, { width: 4, values: a });
    const score = inceptionScore(
      softmaxRows(
        a.map((value) => 2 * value),
        4,
      ),
      4,
    );
    expect(got.fid).toBeCloseTo(frechetDistance(moments(a, 4), moments(b, 4)), 4);
    const spatial = [samples, reference].map((set) => moments(spatialOf(set), HEIGHT));
    expect(got.sfid).toBeCloseTo(frechetDistance(spatial[0], spatial[1]), 4);
    expect(got.inceptionScore).toBeCloseTo(score, 5);
    expect(got).toMatchObject({ precision, recall });
  });

  it('saves statistics that stand for the pictures, the same bytes each time', async () => {
    const whole = await measured('samples', 'reference.npz', ...network);
    await measured('reference.npz', ...network, '--save', 'r.npz');
    await measured('reference.npz', ...network, '--save', 'again.npz');
    expect(readFileSync(join(cwd, 'again.npz'))).toEqual(readFileSync(join(cwd, 'r.npz')));
    const { fid, sfid } = whole;
    const against = await measured('samples', 'r.npz', ...network);
    expect(against).toMatchObject({ fid, sfid });
    expect(against).not.toHaveProperty('precision');
    // Of saved statistics alone, no network is needed.
    expect(await measured('r.npz', 'again.npz')).toMatchObject({ fid: 0, sfid: 0 });
  });

  it('measures the first pictures alone when told how many', async () => {
    const first = poolOf(samples.subarray(0, 9 * HEIGHT * WIDTH * 3));
    const { fid } = await measured('samples', 'reference.npz', ...network, '--num', '9');
    expect(fid).toBeCloseTo(frechetDistance(moments(first, 4), moments(poolOf(reference), 4)), 4);
  });

  it('prints a table', async () => {
    const { code, out } = await ditc(['eval', 'samples', 'reference.npz', ...network], cwd);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^FID +\d+\.\d{3}\nsFID +\d+\.\d{3}\ninception score +\d\.\d{3}\nprecision +[01]\.\d{4}\nrecall/,
    );
  });

  it.each([
    [['nothing'], 1, /nothing.*no such file or folder/s],
    [['features.ts'], 1, /cannot be told what pictures these are.*\.npz nor \.npy/s],
    [['samples'], 2, /it has no weights.*--weights FILE/s],
    [['samples', 'wide.npy', ...network, '--num', '100'], 1, /holds 23 pictures, --num asks for 100/],
    [['samples', 'floats.npy', ...network], 1, /arr_0 is f32\[2,3\].*uint8 of shape \(N, height, width, 3\)/s],
    [
      ['samples', 'reference.npz', '--features', 'none.ts', '--weights', 'w.safetensors'],
      1,
      /gives no features.*forward/s,
    ],
    [['mixed', ...network], 1, /b\.png.*it is 3×5 pixels, .*a\.png is 4×5/s],
    [['samples', 'narrow.npz', ...network], 1, /4 numbers cannot be compared with features of 2/],
    [['broken.npz', 'narrow.npz'], 1, /broken\.npz.*mu is \[2\] and sigma \[3,3\].*\(d, d\)/s],
    [['nan.npz', 'narrow.npz'], 1, /nan\.npz.*element 3 of sigma is NaN/s],
    [['narrow.npz', 'narrow.npz', '--num', '2'], 1, /holds statistics, of which no part/],
    [['narrow.npz'], 2, /narrow\.npz holds statistics alone.*measured against/s],
    [['samples', ...network, '--save', 'stats.csv'], 2, /--save is stats\.csv.*FILE\.npz/s],
  ] as [string[], number, RegExp][])('%j is refused', async (args, wanted, message) => {
    writeFileSync(join(cwd, 'floats.npy'), encodeNpy({ dtype: 'f32', shape: [2, 3], data: new Float32Array(6) }));
    const f64 = (shape: number[], data: number[]) => encodeNpy({ dtype: 'f64', shape, data: Float64Array.from(data) });
    const saved = (sigma: Uint8Array) => [
      { name: 'mu.npy', bytes: f64([2], [0, 0]) },
      { name: 'sigma.npy', bytes: sigma },
    ];
    await npz(join(cwd, 'narrow.npz'), saved(f64([2, 2], [1, 0, 0, 1])));
    await npz(join(cwd, 'nan.npz'), saved(f64([2, 2], [1, 0, 0, NaN])));
    await npz(join(cwd, 'broken.npz'), saved(f64([3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1])));
    mkdirSync(join(cwd, 'mixed'), { recursive: true });
    for (const [name, width] of [
      ['a', WIDTH],
      ['b', 3],
    ] as const)
      writeFileSync(join(cwd, 'mixed', `${name}.png`), PNG.sync.write(new PNG({ width, height: HEIGHT })));
    const before = readdirSync(cwd).sort();
    const { code, err } = await ditc(['eval', ...args], cwd);
    expect(err).toMatch(message);
    expect(code).toBe(wanted);
    expect(readdirSync(cwd).sort()).toEqual(before);
  });
});
