/** Flow matching: samplers, losses and draws against numpy and PyTorch, and on data whose velocity is known exactly. */
import { describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { defineModel, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { completeFlow, flow, guide, lookUp, type FlowConfig } from '../../models/diffusion.ts';
import { dit } from '../../models/dit.ts';
import { interpolants } from '../../models/interpolant.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from './golden.ts';
import { trainCase } from './train-case.ts';

/** The references are computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;
/** Noise and score predictions begin where α is 0.001: what float32 leaves of them counts a thousandfold there. */
const NEAR_NOISE = 1e-5;

interface Case extends Pick<FlowConfig, 'interpolant' | 'prediction'> {
  sampler: string;
  steps: number;
  cfg: number;
  cfgChannels: number;
  clip: boolean;
}

type Values = Record<string, ArrayLike<number>>;

/** One step j of a sampler as a graph: `out` gives the model's first and second output from the declared inputs. */
function stepGraph(
  config: FlowConfig,
  at: { sampler: string; steps: number; clip: boolean },
  shapes: Record<string, readonly number[]>,
  out: (inputs: Record<string, Tensor>, x: Tensor, timestep: Tensor, call: number) => Tensor,
) {
  const objective = flow(config);
  const { columns } = objective.wayBack(at.steps, { batch: 1 });
  const model = defineModel({
    config: {},
    entries: {
      step(e) {
        const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, e.input(name, shape)]));
        const k = lookUp(columns, e.input('step', [], 'i32'));
        let calls = 0;
        const predict = (x: Tensor, timestep: Tensor) => ({ out: out(inputs, x, timestep, calls++) });
        const { x, z } = inputs;
        return { ...objective.samplers[at.sampler].step({ k, x, z, predict, eta: 0, clip: at.clip }) };
      },
    },
  });
  const { graph } = traceEntry(model, 'step', { batch: 1 });
  return (values: Values) => interpret(graph, values).outputs.x.data;
}

describe('the samplers of flow matching equal numpy, step by step', () => {
  it.each(goldenCases('flow-step-'))('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const { interpolant, prediction, steps, sampler, cfg, cfgChannels, clip } = config as unknown as Case;
    const [image, evaluations] = [shapes['input.x'], shapes['input.cond'][0]];
    const calls = sampler === 'heun' ? 2 : 1;
    // Of Heun's method the last step asks once.
    expect(evaluations).toBe(calls * steps - (calls - 1));
    const size = image.reduce((a, b) => a * b);
    const rows = (name: string, k: number) => Array.from(values[name]).slice(k * size, (k + 1) * size);
    const asked = ['cond0', 'null0', 'cond1', 'null1'];
    const shapesOf = Object.fromEntries(['x', 'z', ...asked].map((name) => [name, image]));
    const step = stepGraph(
      completeFlow({ interpolant, prediction }),
      { sampler, steps, clip },
      shapesOf,
      (given, _x, _t, call) => guide(given[`cond${call}`], given[`null${call}`], cfg, Math.min(cfgChannels, image[1])),
    );
    const tolerance = prediction === 'velocity' || prediction === 'x0' ? TOLERANCE : NEAR_NOISE;
    let x: ArrayLike<number> = values['input.x'];
    for (let k = 0; k < steps; k++) {
      const [first, second] = [k * calls, Math.min(k * calls + 1, evaluations - 1)];
      x = step({
        ...{ x, z: rows('input.noise', k), step: [steps - 1 - k] },
        ...{ cond0: rows('input.cond', first), null0: rows('input.null', first) },
        ...{ cond1: rows('input.cond', second), null1: rows('input.null', second) },
      });
      expect(relativeError(x, rows('output.x', k)), `step ${k}`).toBeLessThan(tolerance);
    }
  });
});

const INTERPOLANTS = ['linear', 'cosine'] as const;
const PREDICTIONS = ['velocity', 'score', 'noise', 'x0'] as const;
const SAMPLERS = ['euler', 'heun', 'euler-maruyama'] as const;

/** What the best model says of data N(mean, deviation²), per pixel: x̂₀ = E[x₀ | x], turned into what is predicted. */
function exactSampler(
  config: FlowConfig,
  sampler: string,
  steps: number,
  length: number,
  mean: number,
  deviation: number,
) {
  const shape = [1, 1, 1, length];
  return stepGraph(config, { sampler, steps, clip: false }, { x: shape, z: shape }, (_inputs, x, timestep) => {
    const p = interpolants[config.interpolant].of(timestep.mul(1 / 1000));
    const variance = p.alpha
      .square()
      .mul(deviation ** 2)
      .add(p.sigma.square());
    const gain = p.alpha.mul(deviation ** 2).div(variance);
    const x0 = x.sub(p.alpha.mul(mean)).mul(gain).add(mean);
    const eps = x.sub(x0.mul(p.alpha)).div(p.sigma);
    const said = {
      velocity: () => x0.mul(p.alphaSlope).add(eps.mul(p.sigmaSlope)),
      score: () => eps.div(p.sigma).neg(),
      noise: () => eps,
      x0: () => x0,
    };
    return said[config.prediction]();
  });
}

/** x after all steps; `z` is drawn for each. */
function sampleFrom(start: readonly number[], step: (values: Values) => ArrayLike<number>, steps: number, z = () => 0) {
  let x: ArrayLike<number> = start;
  for (let j = steps - 1; j >= 0; j--) x = step({ x, z: Array.from(start, z), step: [j] });
  return Array.from(x);
}

const config = (interpolant: FlowConfig['interpolant'], prediction: FlowConfig['prediction'] = 'velocity') =>
  completeFlow({ interpolant, prediction });

describe('a point comes back exactly', () => {
  const cases = SAMPLERS.flatMap((s) => INTERPOLANTS.flatMap((i) => PREDICTIONS.map((p) => [s, i, p] as const)));
  it.each(cases)('by %s, %s, %s, in 1, 2, 3 and 10 steps', (sampler, interpolant, prediction) => {
    for (const steps of [1, 2, 3, 10]) {
      const step = exactSampler(config(interpolant, prediction), sampler, steps, 3, 0.7, 0);
      const got = sampleFrom([-2, 0, 1.5], step, steps, () => 0.3);
      // Constants are written into the graph as float32; near noise they count a thousandfold.
      const digits = prediction === 'velocity' || prediction === 'x0' ? 6 : 3;
      for (const value of got) expect(value).toBeCloseTo(0.7, digits);
    }
  });
});

describe('on a Gaussian', () => {
  const data = { mean: 0.4, deviation: 0.8 };
  /** The flow takes x, as N(0,1) at t = 1, to the same quantile of the data. */
  const end = (x: number) => data.mean + data.deviation * x;

  it.each([
    ['euler', 'linear', 1],
    ['euler', 'cosine', 1],
    ['heun', 'linear', 2],
    ['heun', 'cosine', 2],
  ] as const)('%s comes nearer to the end of the %s flow with order %i', (sampler, interpolant, order) => {
    const error = (steps: number) => {
      const step = exactSampler(config(interpolant), sampler, steps, 1, data.mean, data.deviation);
      return Math.abs(sampleFrom([1.3], step, steps)[0] - end(1.3));
    };
    expect(Math.log2(error(20) / error(80)) / 2).toBeGreaterThan(order - 0.25);
  });

  it.each(INTERPOLANTS)('the SDE of the %s interpolant ends with its mean and deviation', (interpolant) => {
    let seed = 7;
    const uniform = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const count = 4000;
    const step = exactSampler(config(interpolant), 'euler-maruyama', 100, count, data.mean, data.deviation);
    const got = sampleFrom(Array.from({ length: count }, normal), step, 100, normal);
    const mean = got.reduce((a, b) => a + b) / count;
    const deviation = Math.sqrt(got.reduce((a, b) => a + (b - mean) ** 2, 0) / count);
    // Four standard errors of 0.8/√4000, and what 100 steps leave.
    expect(Math.abs(mean - data.mean)).toBeLessThan(0.06);
    expect(Math.abs(deviation - data.deviation)).toBeLessThan(0.05);
  });
});

describe('the flow loss and the gradients of all weights equal PyTorch', () => {
  it.each(goldenCases('flow-train-'))('%s', async (stem) => {
    const { graph, bindings, check } = await trainCase(stem);
    const { outputs, updates } = interpret(resolveGradients(graph), bindings);
    const data = (of: typeof outputs) => Object.fromEntries(Object.entries(of).map(([name, x]) => [name, x.data]));
    check(data(outputs), data(updates), TOLERANCE);
  });
});

const TINY = { inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3, mlpRatio: 1 } as const;

describe('what flow matching does not have is refused by name', () => {
  it.each([
    [
      'sampleStep',
      { sampler: 'ddim' },
      /^sampler is "ddim": the model is one of flow matching; use one of euler, heun, euler-maruyama/,
    ],
    ['sampleStep', { steps: 'ddim50' }, /^steps is "ddim50"; give a whole number of at least 1/],
    [
      'sampleStep',
      { eta: 0.5 },
      /^eta is 0.5: the model is one of flow matching, which has no such setting; leave it out/,
    ],
    ['trainStep', { minSnr: 5 }, /^minSnr is 5: the model is one of flow matching/],
    ['trainStep', { schedule: 'linear' }, /^schedule is linear: the model is one of flow matching/],
  ])('%s with %j', (entry, options, message) => {
    const model = dit({ ...TINY, flow: {} });
    expect(() => traceEntry(model, entry, { batch: 1, ...options })).toThrow(message);
  });

  it.each([
    [{ interpolant: 'quadratic' }, /^flow: interpolant is "quadratic"; use one of linear, cosine/],
    [{ prediction: 'v' }, /^flow: prediction is "v"; use one of velocity, score, noise, x0/],
    [{ times: 'normal' }, /^flow: times is "normal"; use one of uniform, logit-normal/],
    [{ path: 'linear' }, /^flow: unknown key path; use interpolant, prediction, times/],
  ])('a config of %j', (given, message) => {
    expect(() => dit({ ...TINY, flow: given as Partial<FlowConfig> })).toThrow(message);
  });
});

it('guides inside its interval alone, and as many channels as it is told', () => {
  const [N, C] = [1, 4];
  const model = dit({ ...TINY, learnSigma: false, flow: {} });
  const names = traceEntry(model, 'sampleStep', { batch: N }).params;
  let seed = 3;
  const params = Object.fromEntries(
    names.map(({ node }) => {
      const size = node.type.shape.reduce((a, b) => a * b, 1);
      const draw = () => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;
      return [String(node.attrs.name), Float64Array.from({ length: size }, draw)];
    }),
  );
  const x = Float64Array.from({ length: N * C * 16 }, (_, i) => Math.sin(i));
  const after = (j: number, options: object) => {
    const { graph } = traceEntry(model, 'sampleStep', { batch: N, steps: 10, ...options });
    const given = { ...params, x, y: [1], step: [j], seed: [1, 2], first: [0], cfgScale: [3] };
    return [...interpret(graph, given).updates.x.data];
  };
  const [plain, all] = [{ cfg: 1 }, { cfg: 3, cfgChannels: 'all' }];
  expect(after(4, all)).not.toEqual(after(4, plain));
  // Steps 0 … 9 begin at 0.1 … 1.
  for (let j = 0; j < 10; j++) {
    const inside = j >= 1 && j <= 5;
    const got = after(j, { ...all, cfgInterval: [0.2, 0.6] });
    expect(relativeError(got, after(j, inside ? all : plain)), `step ${j}`).toBeLessThan(1e-12);
  }
  const [first, guidedOne, none] = [16, after(4, { cfg: 3, cfgChannels: 1 }), after(4, plain)];
  expect(guidedOne.slice(0, first)).toEqual(after(4, all).slice(0, first));
  expect(guidedOne.slice(first)).toEqual(none.slice(first));
});
