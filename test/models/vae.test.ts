/** The autoencoder against the numbers on record: parameters, names, MACs; and its posterior against the formulas. */
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { constant, defineModel } from '../../compiler/dsl/index.ts';
import { macsOfGraph } from '../../compiler/emit/build.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { autoencoderKL, klDivergence, posterior, samplePosterior } from '../../models/vae.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { bindingsOf, goldenCases, readGolden } from './golden.ts';
import vaeF8 from '../../models/vae-f8.ts';

/** The reference is computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;

/** Shapes by name, of both entries. */
function parametersOf(model = vaeF8): Map<string, readonly number[]> {
  const declared = ['encode', 'decode'].flatMap((name) => traceEntry(model, name, { batch: 1 }).params);
  return new Map(declared.map(({ node }) => [String(node.attrs.name), node.type.shape]));
}

const count = (shapes: Iterable<readonly number[]>) => [...shapes].reduce((sum, shape) => sum + sizeOf(shape), 0);

describe('encode and decode equal diffusers', () => {
  it.each(goldenCases('vae-'))('%s', async (stem) => {
    const golden = await readGolden(stem);
    const model = autoencoderKL(golden.config);
    const declared = [...parametersOf(model)].map(([name, shape]) => [`param.${name}`, shape] as const);
    const named = Object.keys(golden.shapes).filter((name) => name.startsWith('param.'));
    expect(declared.map(([name]) => name).sort()).toEqual(named.sort());
    for (const [name, shape] of declared) expect(shape, name).toEqual(golden.shapes[name]);
    const outputs = ['encode', 'decode'].map((entry) => {
      const { graph } = traceEntry(model, entry, { batch: golden.shapes['input.image'][0] });
      return interpret(graph, bindingsOf(golden)).outputs;
    });
    const { moments, image } = Object.assign({}, ...outputs) as Record<string, (typeof outputs)[0][string]>;
    expect(moments.shape).toEqual(golden.shapes['output.moments']);
    expect(image.shape).toEqual(golden.shapes['output.image']);
    expect(relativeError(moments.data, golden.values['output.moments'])).toBeLessThan(TOLERANCE);
    expect(relativeError(image.data, golden.values['output.image'])).toBeLessThan(TOLERANCE);
  });
});

describe('latents by their channels’ means and deviations', async () => {
  const golden = await readGolden('vae-odd-sides');
  const L = Number(golden.config.latentChannels);
  const [latentsMean, latentsStd] = [
    Array.from({ length: L }, (_, i) => 0.3 * i - 0.2),
    Array.from({ length: L }, (_, i) => 0.5 + i),
  ];
  const run = (entry: string, more: object, given: object = {}) => {
    const { graph } = traceEntry(autoencoderKL({ ...golden.config, ...more }), entry, {
      batch: golden.shapes['input.image'][0],
    });
    return Object.values(interpret(graph, { ...bindingsOf(golden), ...given }).outputs)[0].data;
  };
  const [, , ...plane] = golden.shapes['input.latents'];
  const channelOf = (i: number) => Math.floor(i / (plane[0] * plane[1])) % L;
  const told = (z: ArrayLike<number>) =>
    Float64Array.from(z, (x, i) => (x - latentsMean[channelOf(i)]) / latentsStd[channelOf(i)]);

  it('are those less the mean, over the deviation, as diffusers’ pipelines compute them', () => {
    const want = golden.values['output.moments'];
    const moments = run('encode', { latentsMean, latentsStd });
    const size = plane[0] * plane[1];
    const isMean = (i: number) => Math.floor(i / (L * size)) % 2 === 0;
    const expected = Float64Array.from(want, (x, i) =>
      isMean(i)
        ? (x - latentsMean[channelOf(i)]) / latentsStd[channelOf(i)]
        : x - 2 * Math.log(latentsStd[channelOf(i)]),
    );
    expect(relativeError(moments, expected)).toBeLessThan(TOLERANCE);
  });

  it('are decoded to the same pictures', () => {
    const latents = told(golden.values['input.latents']);
    expect(
      relativeError(run('decode', { latentsMean, latentsStd }, { latents }), golden.values['output.image']),
    ).toBeLessThan(TOLERANCE);
    const shifted = Float64Array.from(golden.values['input.latents'], (x) => x - 0.06);
    expect(
      relativeError(run('decode', { shiftFactor: 0.06 }, { latents: shifted }), golden.values['output.image']),
    ).toBeLessThan(TOLERANCE);
  });

  it.each([
    [{ latentsMean: [0] }, /latentsMean is \[0\]: there are \d+ channels; give one for each/],
    [{ latentsStd: latentsStd.map(() => 0) }, /latentsStd\[0\] is 0/],
    [{ latentsMean, shiftFactor: 1 }, /both are means/],
    [{ useQuantConv: 1 as never }, /useQuantConv is 1/],
  ])('%j is refused', (more, message) => {
    expect(() => autoencoderKL({ ...golden.config, ...more })).toThrow(message);
  });
});

it('SD3’s, of 16 channels without convolutions around the latents, has the parameters of the published file', () => {
  const sd3 = {
    latentChannels: 16,
    useQuantConv: false,
    usePostQuantConv: false,
    scalingFactor: 1.5305,
    shiftFactor: 0.0609,
  };
  expect(count(parametersOf(autoencoderKL(sd3)).values())).toBe(83_819_683);
});

describe('sd-vae', () => {
  const shapes = parametersOf();

  it('has the parameters of the published files, as SDXL’s of another scale has', () => {
    const of = (prefix: string) => count([...shapes].filter(([name]) => name.startsWith(prefix)).map(([, s]) => s));
    expect(shapes.size).toBe(248);
    expect(count(shapes.values())).toBe(83_653_863);
    expect([...parametersOf(autoencoderKL({ scalingFactor: 0.13025 }))]).toEqual([...shapes]);
    expect(['encoder.', 'decoder.', 'quant_', 'post_'].map(of)).toEqual([34_163_592, 49_490_179, 72, 20]);
  });

  it.each([
    ['encoder.conv_in.weight', [128, 3, 3, 3]],
    ['encoder.down_blocks.1.resnets.0.conv_shortcut.weight', [256, 128, 1, 1]],
    ['encoder.down_blocks.2.downsamplers.0.conv.bias', [512]],
    ['encoder.mid_block.attentions.0.to_out.0.weight', [512, 512]],
    ['decoder.up_blocks.2.resnets.0.conv1.weight', [256, 512, 3, 3]],
    ['decoder.up_blocks.3.resnets.2.norm2.weight', [128]],
    ['decoder.conv_out.weight', [3, 128, 3, 3]],
    ['quant_conv.weight', [8, 8, 1, 1]],
  ])('has %s %j', (name, shape) => expect(shapes.get(name)).toEqual(shape));

  /** Side, then GMAC of encode and decode. */
  it.each([
    [256, 136.4, 311.1],
    [512, 558.3, 1257.3],
  ])('at %i encodes in %f GMAC and decodes in %f', (sampleSize, encode, decode) => {
    const model = autoencoderKL({ sampleSize });
    const macs = (entry: string) => macsOfGraph(traceEntry(model, entry, { batch: 1 }).graph);
    expect(macs('encode')).toBe(formula('encode', sampleSize));
    expect(macs('decode')).toBe(formula('decode', sampleSize));
    expect(macs('encode') / 1e9).toBeCloseTo(encode, 1);
    expect(macs('decode') / 1e9).toBeCloseTo(decode, 1);
  });
});

describe('compiled for any device', () => {
  const MIB = 2 ** 20;
  /** Side, then MiB that a kernel writes at most: 256 channels at full size, which at 512 are two values of 128 MiB. */
  it.each([
    [256, 64],
    [512, 256],
  ])('at %i it fits, and no windows are written to memory', (sampleSize, largest) => {
    const model = autoencoderKL({ sampleSize });
    const options = { name: 'vae', source: 'models/vae.ts', device: PORTABLE, entryOptions: { batch: 1 } };
    const { manifest } = compileModel(model, options);
    for (const { memory } of Object.values(manifest.entries))
      expect(memory.activationPeakBytes).toBeLessThanOrEqual(1.15 * memory.activationLowerBoundBytes);
    const written = manifest.entries.decode.dispatches.map(({ bytesWritten }) => bytesWritten / MIB);
    expect(Math.max(...written)).toBe(largest);
    const bound = Object.values(manifest.kernels).flatMap(({ bindings }) => bindings.map(({ bytes }) => bytes / MIB));
    expect(Math.max(...bound)).toBeLessThanOrEqual(128);
  });
});

/** MACs layer by layer: k²·Cin·Cout a pixel, and for attention four C² and two C·T a token. */
function formula(entry: 'encode' | 'decode', side: number): number {
  const conv = (ci: number, co: number, s: number, k = 3) => k * k * ci * co * s * s;
  const res = (ci: number, co: number, s: number) =>
    conv(ci, co, s) + conv(co, co, s) + (ci === co ? 0 : ci * co * s * s);
  const s = side / 8;
  const mid = 2 * res(512, 512, s) + s * s * (4 * 512 ** 2 + 2 * 512 * s * s);
  const levels: [from: number, to: number, side: number, blocks: number][] =
    entry === 'encode'
      ? [
          [128, 128, side, 2],
          [128, 256, side / 2, 2],
          [256, 512, side / 4, 2],
          [512, 512, s, 2],
        ]
      : [
          [512, 512, s, 3],
          [512, 512, 2 * s, 3],
          [512, 256, 4 * s, 3],
          [256, 128, side, 3],
        ];
  const next = entry === 'encode' ? 0.5 : 2;
  const body = levels.reduce((sum, [from, to, at, blocks], i) => {
    const resample = i < 3 ? conv(to, to, at * next) : 0;
    return sum + res(from, to, at) + (blocks - 1) * res(to, to, at) + resample;
  }, mid);
  const ends =
    entry === 'encode'
      ? conv(3, 128, side) + conv(512, 8, s) + conv(8, 8, s, 1)
      : conv(4, 4, s, 1) + conv(4, 512, s) + conv(128, 3, side);
  return body + ends;
}

describe('names in older files', () => {
  const { aliases } = vaeF8;
  it.each([
    [
      'encoder.mid_block.attentions.0.to_out.0.weight',
      ['encoder.mid_block.attentions.0.proj_attn.weight', 'encoder.mid.attn_1.proj_out.weight'],
    ],
    [
      'decoder.mid_block.attentions.0.to_k.bias',
      ['decoder.mid_block.attentions.0.key.bias', 'decoder.mid.attn_1.k.bias'],
    ],
    ['decoder.mid_block.attentions.0.group_norm.weight', ['decoder.mid.attn_1.norm.weight']],
    ['encoder.mid_block.resnets.1.norm1.bias', ['encoder.mid.block_2.norm1.bias']],
    ['encoder.down_blocks.2.resnets.0.conv_shortcut.bias', ['encoder.down.2.block.0.nin_shortcut.bias']],
    ['encoder.down_blocks.1.downsamplers.0.conv.weight', ['encoder.down.1.downsample.conv.weight']],
    ['decoder.up_blocks.0.resnets.2.conv1.weight', ['decoder.up.3.block.2.conv1.weight']],
    ['decoder.up_blocks.2.upsamplers.0.conv.weight', ['decoder.up.1.upsample.conv.weight']],
    ['decoder.conv_norm_out.weight', ['decoder.norm_out.weight']],
    [
      'encoder.down_blocks.3.attentions.1.to_q.weight',
      ['encoder.down_blocks.3.attentions.1.query.weight', 'encoder.down.3.attn.1.q.weight'],
    ],
    ['decoder.up_blocks.0.attentions.2.group_norm.bias', ['decoder.up.3.attn.2.norm.bias']],
    ['post_quant_conv.weight', []],
  ])('%s', (name, others) => {
    const plain = others.at(-1) ?? name;
    expect(aliases!(name)).toEqual([...others, `first_stage_model.${plain}`]);
  });

  it('are different for all parameters', () => {
    const all = [...parametersOf().keys()].flatMap((name) => [name, ...aliases!(name)]);
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('the posterior', () => {
  const model = defineModel({
    config: {},
    entries: {
      draw() {
        const of = posterior(constant([1, -2, 0.5, 40, -50, 0], [1, 6, 1, 1]));
        const { mean, logVariance } = of;
        return {
          mean,
          logVariance,
          sample: samplePosterior(of, constant([1, 1, 2], [1, 3, 1, 1])),
          kl: klDivergence(of),
        };
      },
    },
  });
  const { graph } = traceEntry(model, 'draw', { batch: 1 });
  const { mean, logVariance, sample, kl } = interpret(graph, {}).outputs;

  it('has means and clamped log-variances', () => {
    expect([...mean.data]).toEqual([1, -2, 0.5]);
    expect([...logVariance.data]).toEqual([20, -30, 0]);
  });

  it('is sampled as mean + σ·noise', () => {
    [1 + Math.exp(10), -2 + Math.exp(-15), 2.5].forEach((x, i) => expect(sample.data[i]).toBeCloseTo(x, 9));
  });

  it('has the divergence of a Gaussian from the unit one', () => {
    const each = [1 + Math.exp(20) - 1 - 20, 4 + Math.exp(-30) - 1 + 30, 0.25 + 1 - 1];
    expect(kl.data[0] / (0.5 * each.reduce((a, b) => a + b))).toBeCloseTo(1, 9);
  });
});

describe('a configuration that cannot be', () => {
  it.each([
    [{ blockOutChannels: [128, 100] }, /blockOutChannels\[1\] is not divisible by normNumGroups/],
    [{ blockOutChannels: [] }, /blockOutChannels is \[\]/],
    [{ sampleSize: 4 }, /sampleSize is 4; give a whole number of at least 8/],
    [{ sampleSize: [4, 8] as const, strides: [[1, 2], 2, 2] }, undefined],
    [{ sampleSize: [4, 7] as const, strides: [[1, 2], 2, 2] }, /sampleSize is 7; give a whole number of at least 8/],
    [{ strides: [2, 2] }, /strides is \[2,2\]: there are 3 steps between levels; give one for each/],
    [{ strides: [2, 3, 2] }, /strides\[1\] is 3; use one of 1, 2/],
    [{ strides: [2, [2], 2] }, /strides\[1\] is \[2\]; give 1 or 2, or \[height, width\]/],
    [{ downBlockTypes: ['DownEncoderBlock2D'] }, /downBlockTypes is .*: there are 4 levels/],
    [{ upBlockTypes: Array(4).fill('DownEncoderBlock2D') }, /upBlockTypes\[0\] is "DownEncoderBlock2D"; use one of/],
    [{ upBlockOutChannels: [32, 64] }, /upBlockOutChannels is \[32,64\]: there are 4 levels/],
    [{ layersPerUpBlock: 0 }, /layersPerUpBlock is 0/],
    [{ sampleSize: [256, 3] as const }, /sampleSize is 3/],
    [{ latentChannels: 0 }, /latentChannels is 0/],
    [{ scalingFactor: NaN }, /scalingFactor is NaN/],
    [{ latent: 4 }, /unknown key latent; use inChannels/],
    [
      { outChannels: 3, inputSize: 64 },
      /key outChannels, inputSize; for outChannels, did you mean inChannels, .* or \w+\? for inputSize, did you mean sampleSize\? use/,
    ],
  ])('%j', (config, message) => {
    const build = () => autoencoderKL(config as object);
    if (message) expect(build).toThrow(message);
    else expect(build).not.toThrow();
  });
});
