/** Reverse steps against numpy's, and the sampling entries against the steps they are made of. */
import { describe, expect, it } from 'vitest';
import type { EntryOptions, Tensor } from '../../compiler/dsl/index.ts';
import { defineModel } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf } from '../../compiler/ir/index.ts';
import { interpret, opDef, philox4x32, Random, type Bindings } from '../../compiler/ops/index.ts';
import {
  guide,
  logVariance,
  lookUp,
  posteriorMean,
  predictX0,
  reverseColumns,
  samplers,
  splitPrediction,
  type SamplingOptions,
} from '../../models/diffusion.ts';
import { dit } from '../../models/dit.ts';
import { processOf, type Schedule } from '../../models/schedule.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from './golden.ts';

/** The reference is computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;

interface Case extends Pick<SamplingOptions, 'eta' | 'clip'> {
  sampler: keyof typeof samplers;
  schedule: string;
  steps: number;
  spacing: string;
  cfg: number;
  cfgChannels: 3 | 4;
  learnSigma: boolean;
  inChannels: number;
  timesteps: number[];
}

/** Traces `build` on inputs of the given shapes and interprets it. */
function evaluate<K extends string>(
  shapes: Record<K, readonly number[]>,
  values: Record<K, ArrayLike<number>>,
  build: (inputs: Record<K, Tensor>) => Record<string, Tensor>,
  integers: readonly string[] = [],
) {
  const names = Object.keys(shapes) as K[];
  const model = defineModel({
    config: {},
    entries: {
      main: (e) => {
        const declare = (name: K) => e.input(name, shapes[name], integers.includes(name) ? 'i32' : 'f32');
        return build(Object.fromEntries(names.map((name) => [name, declare(name)])) as Record<K, Tensor>);
      },
    },
  });
  return interpret(traceEntry(model, 'main', { batch: 1 }).graph, values).outputs;
}

describe('reverse steps equal numpy', () => {
  it.each(goldenCases('sampling-'))('%s', async (stem) => {
    const golden = await readGolden(stem);
    const config = golden.config as unknown as Case;
    const process = processOf(config.schedule === 'linear' ? 'linear' : 'squaredcos', config.spacing, config.steps);
    expect([...process.timesteps].reverse()).toEqual(config.timesteps);
    const channels = config.inChannels;
    const guided = config.cfgChannels === 3 ? Math.min(3, channels) : channels;
    const at = (name: string, k: number) => {
      const size = golden.shapes[name].slice(1).reduce((a, b) => a * b);
      return Array.from(golden.values[name]).slice(k * size, (k + 1) * size);
    };

    let [x, before]: ArrayLike<number>[] = [
      golden.values['input.x'],
      new Float64Array(golden.values['input.x'].length),
    ];
    for (let k = 0; k < process.length; k++) {
      const [image, output] = [golden.shapes['input.x'], golden.shapes['input.cond'].slice(1)];
      const outputs = evaluate(
        { x: image, before: image, z: image, cond: output, uncond: output, step: [], scale: [] },
        {
          x,
          before,
          z: at('input.noise', k),
          cond: at('input.cond', k),
          uncond: at('input.null', k),
          step: [process.length - 1 - k],
          scale: [config.cfg],
        },
        (t) => {
          const c = lookUp(reverseColumns(process, config.eta), t.step);
          const [{ out: cond, v }, { out: uncond }] = [t.cond, t.uncond].map((out) => splitPrediction(out, channels));
          const eps = guide(cond, uncond, t.scale, guided);
          const x0 = config.clip ? predictX0(c, t.x, eps).clamp(-1, 1) : predictX0(c, t.x, eps);
          const { eta, clip } = config;
          const { x } = samplers[config.sampler].step({
            k: c,
            x: t.x,
            before: t.before,
            z: t.z,
            predict: () => ({ out: eps, v }),
            eta,
            clip,
          });
          const shared = { eps, x0, x, timestep: c.timestep };
          if (config.sampler !== 'ddpm') return shared;
          const spread = logVariance(c, v).broadcastTo(...image);
          return { ...shared, mean: posteriorMean(c, x0, t.x), logVariance: spread };
        },
        ['step'],
      );
      expect([...outputs.timestep.data]).toEqual([config.timesteps[k]]);
      const names = Object.keys(golden.values).filter((name) => name.startsWith('output.'));
      const { timestep: _, ...judged } = outputs;
      expect(names.sort()).toEqual(
        Object.keys(judged)
          .map((name) => `output.${name}`)
          .sort(),
      );
      for (const name of names) {
        const error = relativeError(outputs[name.slice(7)].data, at(name, k));
        expect(error, `${name} at step ${k}`).toBeLessThan(TOLERANCE);
      }
      [x, before] = [outputs.x.data, outputs.x0.data]; // The whole trajectory is ours: errors add up as they would in use.
    }
  });
});

const TINY = { inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 5, mlpRatio: 1 } as const;

/** Random weights for every parameter, so that no path is silent. */
function randomParams(model: ReturnType<typeof dit>, seed = 1): Record<string, Float64Array> {
  const random = new Random(seed);
  const { params } = traceEntry(model, 'forward', { batch: 1 });
  return Object.fromEntries(
    params.map(({ node }) => {
      const size = node.type.shape.reduce((a, b) => a * b, 1);
      return [String(node.attrs.name), Float64Array.from({ length: size }, () => random.uniform(-0.5, 0.5))];
    }),
  );
}

const SEED = [0x89abcdef, 0x01234567];

/** The normal number of one element, written again from Box & Muller. */
function normalAt(element: number, image: number, step: number): number {
  const [a, b] = philox4x32([element, image, step, 0], SEED).map((word) => ((word >>> 8) + 0.5) * 2 ** -24);
  return Math.sqrt(-2 * Math.log(a)) * Math.cos(2 * Math.PI * b);
}

const run = (model: ReturnType<typeof dit>, entry: string, options: EntryOptions, bindings: Bindings) =>
  interpret(traceEntry(model, entry, options).graph, bindings);

describe('sampleStart', () => {
  const model = dit({ ...TINY, inChannels: 3 });
  /** What was there before, which nothing reads. */
  const anyState = (batch: number) => ({ x: new Float64Array(batch * 48).fill(NaN), step: [-1] });
  const start = (batch: number, first: number, steps: number | string = 250) =>
    run(model, 'sampleStart', { batch, steps }, { ...anyState(batch), seed: SEED, first: [first] }).updates;

  it('draws x from (seed, image, element) and sets the step to T′−1', () => {
    const { x, step } = start(2, 7);
    expect(x.shape).toEqual([2, 3, 4, 4]);
    const expected = Array.from({ length: 96 }, (_, i) => normalAt(i % 48, 7 + Math.floor(i / 48), 0xffffffff));
    expect(relativeError(x.data, expected)).toBeLessThan(1e-12);
    expect([step.dtype, step.shape, [...step.data]]).toEqual(['i32', [], [249]]);
    expect([...start(1, 0, 'ddim50').step.data]).toEqual([49]);
  });

  it('gives an image the same noise in any batch', () => {
    const all = start(3, 4).x.data;
    for (const i of [0, 1, 2]) expect([...start(1, 4 + i).x.data]).toEqual([...all.slice(i * 48, (i + 1) * 48)]);
  });

  it('draws numbers that look normal', () => {
    const { data } = start(40, 0).x;
    const moment = (p: number) => data.reduce((sum, v) => sum + v ** p, 0) / data.length;
    // Standard errors at 1920 numbers: 0.023, 0.032, 0.22.
    expect(Math.abs(moment(1))).toBeLessThan(0.1);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.13);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.9);
  });
});

describe('sampleStep', () => {
  interface Variant {
    config: Parameters<typeof dit>[0];
    options: Record<string, unknown>;
    scale: number;
  }
  const variants: Record<string, Variant> = {
    'ddpm, guided': { config: TINY, options: {}, scale: 4 },
    'ddpm, no guidance': { config: TINY, options: { cfg: 1 }, scale: 9 },
    'ddpm, all channels': { config: TINY, options: { cfg: 1.5, cfgChannels: 4 }, scale: 1.5 },
    'ddpm, fixed variance, one channel': {
      config: { ...TINY, learnSigma: false, inChannels: 1 },
      options: { cfg: 2, schedule: 'squaredcos' },
      scale: 2,
    },
    'ddim, clipped, unconditional': {
      config: { ...TINY, classDropoutProb: 0, numClasses: 1, inChannels: 2 },
      options: { sampler: 'ddim', eta: 0.7, clip: true },
      scale: 1,
    },
    'ddim, in-context': {
      config: { ...TINY, block: 'in-context' },
      options: { sampler: 'ddim', steps: '6,2' },
      scale: 3,
    },
  };

  it.each(Object.entries(variants))(
    '%s: forward, guidance and one reverse step',
    (_name, { config, options, scale }) => {
      const model = dit(config);
      const [N, first, j] = [2, 5, 3];
      const settings = { steps: 8, ...model.options, batch: N, ...options } as EntryOptions & Case;
      const C = Number(model.config.inChannels);
      const shape = [N, C, 4, 4];
      const params = randomParams(model);
      const random = new Random(3);
      const x = Float64Array.from({ length: N * C * 16 }, () => random.uniform(-2, 2));
      const y = [0, config!.numClasses === 1 ? 0 : 3];
      const seed = { seed: SEED, first: [first], cfgScale: [scale] };

      const stepped = run(model, 'sampleStep', settings, { ...params, ...seed, x, y, step: [j] });
      expect(stepped.outputs).toEqual({});
      expect([...stepped.updates.step.data]).toEqual([j - 1]);

      // The same by hand: two forwards, then the step that numpy has judged above, with noise drawn here.
      const process = processOf(settings.schedule as Schedule, settings.steps);
      const t = [process.timesteps[j], process.timesteps[j]];
      const forward = (labels: number[]) =>
        run(model, 'forward', { batch: N }, { ...params, x, t, y: labels }).outputs.out;
      const [cond, uncond] = [forward(y), forward([5, 5])];
      const z = Array.from(x, (_, i) => normalAt(i % (C * 16), first + Math.floor(i / (C * 16)), j));
      const unguided = settings.cfg === 1;
      const expected = evaluate(
        { x: shape, z: shape, cond: cond.shape, uncond: cond.shape, step: [] },
        { x, z, cond: cond.data, uncond: uncond.data, step: [j] },
        (v) => {
          const [c, u] = [v.cond, v.uncond].map((out) => splitPrediction(out, C));
          const eps = unguided ? c.out : guide(c.out, u.out, scale, settings.cfgChannels === 4 ? C : Math.min(3, C));
          const k = lookUp(reverseColumns(process, settings.eta), v.step);
          const { eta, clip, sampler } = settings;
          return { ...samplers[sampler].step({ k, x: v.x, z: v.z, predict: () => ({ out: eps, v: c.v }), eta, clip }) };
        },
        ['step'],
      );
      expect(relativeError(stepped.updates.x.data, expected.x.data)).toBeLessThan(1e-12);
    },
  );

  it('gives an image the same step in any batch', () => {
    const model = dit(TINY);
    const params = randomParams(model);
    const random = new Random(4);
    const x = Float64Array.from({ length: 3 * 64 }, () => random.uniform(-2, 2));
    const step = (images: Float64Array, y: number[], first: number) =>
      run(
        model,
        'sampleStep',
        { batch: y.length },
        {
          ...params,
          x: images,
          y,
          step: [100],
          seed: SEED,
          first: [first],
          cfgScale: [2],
        },
      ).updates.x.data;
    const all = step(x, [1, 2, 3], 10);
    const last = step(x.slice(128), [3], 12);
    expect([...last]).toEqual([...all.slice(128)]);
  });

  it('has one signature for all options', () => {
    const signature = (options: object) => {
      const { graph } = traceEntry(dit(TINY), 'sampleStep', { batch: 2, ...options });
      return graph.inputs.map((n) => `${n.attrs.name}: ${n.type.dtype}[${n.type.shape}]`).sort();
    };
    const expected = ['cfgScale: f32[]', 'first: u32[]', 'seed: u32[2]', 'y: i32[2]'];
    expect(signature({})).toEqual(expected);
    expect(signature({ cfg: 1, sampler: 'ddim' })).toEqual(expected);
  });

  it('costs one forward of the batch; of twice the batch when guided', () => {
    const macs = (entry: string, options: EntryOptions) =>
      nodesOf(traceEntry(dit(TINY), entry, options).graph).reduce((sum, { op, inputs, attrs, type }) => {
        const types = inputs.map((input) => input.type);
        return sum + opDef(op).cost(types, attrs, type).macs;
      }, 0);
    expect(macs('sampleStep', { batch: 3, cfg: 1 })).toBe(macs('forward', { batch: 3 }));
    expect(macs('sampleStep', { batch: 3 })).toBe(macs('forward', { batch: 6 }));
    expect(macs('sampleStart', { batch: 3 })).toBe(0);
  });

  it.each([
    [
      { sampler: 'euler' },
      /sampler is "euler": the model predicts the noise of DDPM; use one of ddpm, ddim, heun, dpm\+\+/,
    ],
    [{ eta: 2 }, /eta is 2; give a number of at least 0 and of at most 1/],
    [{ cfg: Number.NaN }, /cfg is NaN; give a number/],
    [{ cfgChannels: 0 }, /cfgChannels is 0; give a whole number of at least 1/],
    [{ cfgChannels: 'some' }, /cfgChannels is "some"; give a whole number/],
    [{ cfgInterval: [0.5, 0.2] }, /cfgInterval is \[0.5,0.2\]; give two numbers in order, from 0 to 1/],
    [{ cfgInterval: 0.5 }, /cfgInterval is 0.5; give two numbers/],
    [{ schedule: 'cosine' }, /schedule is "cosine"; use one of linear, squaredcos/],
    [{ steps: 1001 }, /steps: 1001 are asked for: the process has only 1000; ask for at most 1000/],
    [{ steps: 'many' }, /steps: "many" is not a number of steps/],
    [{ steps: 'ddim300' }, /steps: no whole stride keeps exactly 300 of 1000 timesteps; .*"300"/],
  ])('refuses %j', (options, message) => {
    expect(() => traceEntry(dit(TINY), 'sampleStep', { batch: 1, ...options })).toThrow(message);
  });

  it('refuses guidance without a null class', () => {
    const model = dit({ ...TINY, classDropoutProb: 0 });
    expect(() => traceEntry(model, 'sampleStep', { batch: 1, cfg: 2 })).toThrow(/no null class .*; sample with cfg 1/);
    expect(() => traceEntry(model, 'sampleStep', { batch: 1 })).not.toThrow();
  });
});
