/** The training step against PyTorch, by the interpreter: the loss and its gradient for every weight, in every block variant. */
import { describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { defineModel, gradients, type EntryFunction } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { dit } from '../../models/dit.ts';
import { coefficientsAt, lossTerms, minSnrWeight } from '../../models/loss.ts';
import { processOf } from '../../models/schedule.ts';
import { objectiveOf, type Denoiser } from '../../models/diffusion.ts';
import { draw } from '../../models/training.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from './golden.ts';
import { runStep } from './run-step.ts';
import { trainCase } from './train-case.ts';

/** Products of 1 − β_t with β evenly from 1e-4 to 0.02, written anew. */
function alphaBars(steps: number): number[] {
  let product = 1;
  return Array.from({ length: steps }, (_, t) => (product *= 1 - (1e-4 + ((0.02 - 1e-4) * t) / (steps - 1))));
}

/** The reference is computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;

const TINY = { inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3, mlpRatio: 2 } as const;

describe('the loss equals PyTorch', () => {
  it.each(goldenCases('loss-'))('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const shape = shapes['input.x0'];
    const model = defineModel({
      config: {},
      entries: {
        main(e) {
          const out = e.input('out', shapes['input.out']);
          const [x0, noise] = ['x0', 'noise'].map((name) => e.input(name, shape));
          const process = processOf(config.schedule === 'linear' ? 'linear' : 'squaredcos');
          const t = e.input('t', [shape[0]], 'i32');
          const [eps, v] = out.split(2, 1);
          const { mse, vb } = lossTerms(process, t, x0, noise, () => ({ out: eps, v }));
          const [grad] = gradients(mse.add(vb).mean(), [out]);
          return { mse, vlb: vb, grad };
        },
      },
    });
    const bindings = Object.fromEntries(Object.entries(values).map(([name, v]) => [name.replace('input.', ''), v]));
    const graph = resolveGradients(traceEntry(model, 'main', { batch: shape[0] }).graph);
    const { outputs } = interpret(graph, bindings);
    for (const name of ['mse', 'vlb', 'grad'])
      expect(relativeError(outputs[name].data, values[`output.${name}`]), name).toBeLessThan(TOLERANCE);
  });
});

it('min-SNR weights are min(SNR, γ)/SNR of the linear process', () => {
  const alphaBar = alphaBars(1000);
  const steps = [0, 1, 50, 200, 400, 700, 999];
  const model = defineModel({
    config: {},
    entries: {
      main(e) {
        const t = e.input('t', [steps.length], 'i32');
        return { weight: minSnrWeight(coefficientsAt(processOf('linear'), t), 5) };
      },
    },
  });
  const { outputs } = interpret(traceEntry(model, 'main', { batch: 1 }).graph, { t: steps });
  const snr = steps.map((t) => alphaBar[t] / (1 - alphaBar[t]));
  const want = snr.map((ratio) => Math.min(ratio, 5) / ratio);
  expect(Math.min(...want)).toBeLessThan(1e-3);
  expect(want.at(-1)).toBe(1);
  // The process is written into the graph as float32.
  outputs.weight.data.forEach((weight, i) =>
    expect(Math.abs(weight / want[i] - 1), `t ${steps[i]}`).toBeLessThan(1e-6),
  );
});

describe('the gradients of all weights equal PyTorch', () => {
  it.each(goldenCases('train-'))('%s', async (stem) => {
    const { graph, bindings, check } = await trainCase(stem);
    const { outputs, updates } = interpret(resolveGradients(graph), bindings);
    const data = (of: typeof outputs) => Object.fromEntries(Object.entries(of).map(([name, x]) => [name, x.data]));
    check(data(outputs), data(updates), TOLERANCE);
  });
});

describe('the draws of a step', () => {
  const [channels, size] = [3, 4];
  const drawn = (
    seed: readonly number[],
    step: number,
    batch = 400,
    options = { labelDropout: 0.1, accumulate: 1 },
    flow?: Denoiser['flow'],
  ) => {
    const main: EntryFunction = (e) => {
      const trainer = objectiveOf({ flow }).trainer({ batch });
      const { t, noise, drop } = draw(e, { channels, size }, options, trainer);
      return { t, noise, drop };
    };
    const { graph } = traceEntry({ config: {}, entries: { main } }, 'main', { batch });
    const { outputs } = interpret(graph, { seed, 'optimizer.step': [step], 'optimizer.batch': [1] });
    return { t: [...outputs.t.data], noise: [...outputs.noise.data], drop: [...outputs.drop.data] };
  };
  const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
  const correlation = (a: readonly number[], b: readonly number[]) => {
    const [ma, mb] = [mean(a), mean(b)];
    const covariance = (x: readonly number[], y: readonly number[]) =>
      mean(x.map((v, i) => (v - (x === a ? ma : mb)) * (y[i] - (y === a ? ma : mb))));
    return covariance(a, b) / Math.sqrt(covariance(a, a) * covariance(b, b));
  };

  // Bounds are four standard deviations or more of the statistic.
  it('have their distributions', () => {
    const { t, noise, drop } = drawn([1, 2], 3);
    expect(t.every((step) => Number.isInteger(step) && step >= 0 && step < 1000)).toBe(true);
    for (let part = 0; part < 4; part++)
      expect(Math.abs(t.filter((step) => Math.floor(step / 250) === part).length - 100)).toBeLessThan(35);
    expect(Math.abs(mean(noise))).toBeLessThan(4 / Math.sqrt(noise.length));
    expect(Math.abs(mean(noise.map((z) => z * z)) - 1)).toBeLessThan(4 * Math.sqrt(2 / noise.length));
    expect(Math.abs(mean(drop) - 0.1)).toBeLessThan(4 * Math.sqrt(0.09 / 400));
  });

  it('are independent of each other, from step to step and from seed to seed', () => {
    const here = drawn([1, 2], 3);
    const first = here.noise.filter((_, i) => i % (channels * size * size) === 0);
    expect(Math.abs(correlation(here.t, here.drop))).toBeLessThan(0.2);
    expect(Math.abs(correlation(here.t, first))).toBeLessThan(0.2);
    for (const other of [drawn([1, 2], 4), drawn([2, 2], 3), drawn([1, 3], 3)]) {
      expect(Math.abs(correlation(here.t, other.t))).toBeLessThan(0.2);
      expect(Math.abs(correlation(here.noise, other.noise))).toBeLessThan(4 / Math.sqrt(here.noise.length));
    }
  });

  it('have times of flow matching from 0 to 1, evenly or as the sigmoid of a normal number', () => {
    const timesOf = (times: 'uniform' | 'logit-normal') => drawn([1, 2], 3, 400, undefined, { times });
    const below = (xs: readonly number[], edge: number) => xs.filter((x) => x < edge).length / xs.length;
    const uniform = timesOf('uniform').t;
    expect(uniform.every((t) => t > 0 && t <= 1)).toBe(true);
    for (const edge of [0.25, 0.5, 0.75]) expect(Math.abs(below(uniform, edge) - edge)).toBeLessThan(0.1);
    const here = timesOf('logit-normal');
    expect(here.t.every((t) => t > 0 && t < 1)).toBe(true);
    // The quantiles of N(0,1) at 2.5, 15.9, 50, 84.1 %.
    for (const [z, share] of [
      [-1.96, 0.025],
      [-1, 0.159],
      [0, 0.5],
      [1, 0.841],
    ])
      expect(Math.abs(below(here.t, 1 / (1 + Math.exp(-z))) - share)).toBeLessThan(0.1);
    const first = here.noise.filter((_, i) => i % (channels * size * size) === 0);
    for (const other of [here.drop, first, drawn([1, 2], 4, 400, undefined, { times: 'logit-normal' }).t])
      expect(Math.abs(correlation(here.t, other))).toBeLessThan(0.2);
  });

  it('are the image’s own, whatever the batch', () => {
    const [whole, half] = [drawn([1, 2], 3, 8), drawn([1, 2], 3, 4, { labelDropout: 0.1, accumulate: 2 })];
    expect(half.t).toEqual(whole.t.slice(4)); // The second batch of the update.
    expect(half.noise).toEqual(whole.noise.slice(whole.noise.length / 2));
  });
});

describe('options of a step that cannot be', () => {
  it.each([
    [{ lr: -1 }, /^lr is -1; give a number of at least 0/],
    [{ beta2: 1 }, /^beta2 is 1; give a number of at least 0 and of at most 0.99/],
    [{ ema: 2 }, /^ema is 2; /],
    [{ accumulate: 0 }, /^accumulate is 0; give a whole number of at least 1/],
    [{ warmup: 1.5 }, /^warmup is 1.5; give a whole number/],
    [{ schedule: 'quadratic' }, /^schedule is "quadratic"; use one of linear, squaredcos/],
    [{ labelDropout: 0.1 }, /^labelDropout is 0.1: the model has no null class to put in their place; /],
  ])('%j says what to change', (options, message) => {
    const model = dit({ ...TINY, classDropoutProb: 0 });
    expect(() => traceEntry(model, 'trainStep', { batch: 1, ...options })).toThrow(message);
  });

  it('keeps an average of each decay', () => {
    const { bindings, updates } = runStep(dit(TINY), { ema: 0.5, emas: '0.25,0.75' });
    const name = 'final_layer.linear.bias';
    for (const [state, decay] of [
      ['ema', 0.5],
      ['ema-0.25', 0.25],
      ['ema-0.75', 0.75],
    ] as const) {
      const wanted = updates[name].map((w, i) => decay * Number(bindings[`${state}.${name}`][i]) + (1 - decay) * w);
      expect(relativeError(updates[`${state}.${name}`], wanted), state).toBeLessThan(1e-12);
    }
    expect(() => traceEntry(dit(TINY), 'trainStep', { batch: 1, emas: '0.9,1.5' })).toThrow(/^emas is 1.5; /);
  });

  it('names no state that a step without accumulation does not need', () => {
    const statesOf = (options: object) => traceEntry(dit(TINY), 'trainStep', { batch: 1, ...options }).states;
    const kinds = (options: object) =>
      new Set(
        statesOf(options).map(({ node }) =>
          String(node.attrs.name)
            .split('.')
            .slice(0, 2)
            .join('.')
            .replace(/^ema.*/, 'ema'),
        ),
      );
    expect([...kinds({})].sort()).toEqual(['ema', 'optimizer.m', 'optimizer.step', 'optimizer.v']);
    expect([...kinds({ accumulate: 2 })].sort()).toContain('optimizer.gradient');
  });
});
