/** Samplers on data whose ε is known exactly: a point, which every one must give back, and a Gaussian, whose flow has a formula. */
import { describe, expect, it } from 'vitest';
import { defineModel, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { lookUp, reverseColumns, samplers, samplingEntries, type SamplingOptions } from '../../models/diffusion.ts';
import { dit } from '../../models/dit.ts';
import { processOf, type Process } from '../../models/schedule.ts';

type SamplerName = keyof typeof samplers;
const SAMPLERS = Object.keys(samplers) as SamplerName[];

/** Data N(mean, deviation²), per pixel. */
interface Gaussian {
  readonly mean: number;
  readonly deviation: number;
}

/** E[ε | x] at a timestep: σ(x − αμ)/(α²s² + σ²). */
function exactEps(process: Process, { mean, deviation }: Gaussian) {
  const columns = {
    scale: process.alphaBar.map((a) => Math.sqrt(1 - a) / (a * deviation ** 2 + 1 - a)),
    shift: process.alphaBar.map((a) => Math.sqrt(a) * mean),
  };
  return (x: Tensor, step: Tensor) => {
    const { scale, shift } = lookUp(columns, step);
    return x.sub(shift).mul(scale);
  };
}

/** x of `start` after all steps. */
function sampleFrom(start: readonly number[], name: SamplerName, process: Process, data: Gaussian, z = 0): number[] {
  const shape = [1, 1, 1, start.length];
  const eps = exactEps(process, data);
  const model = defineModel({
    config: {},
    entries: {
      step(e) {
        const [x, before, step] = [e.input('x', shape), e.input('before', shape), e.input('step', [], 'i32')];
        const k = lookUp(reverseColumns(process), step);
        // Only the two ends of a step are asked for, and timesteps name them.
        const at = (timestep: Tensor) => step.sub(timestep.ne(k.timestep).cast('i32'));
        const predict = (image: Tensor, timestep: Tensor) => ({ out: eps(image, at(timestep)) });
        const noise = e.input('z', shape);
        return { ...samplers[name].step({ k, x, z: noise, predict, before, eta: 0, clip: false }) };
      },
    },
  });
  const { graph } = traceEntry(model, 'step', { batch: 1 });
  let [x, before]: ArrayLike<number>[] = [start, start.map(() => NaN)];
  for (let j = process.length - 1; j >= 0; j--) {
    // Of the steps before, the first is told nothing that it may use.
    const given = before[0] === before[0] ? before : start.map(() => 0);
    const { outputs } = interpret(graph, { x, before: given, step: [j], z: start.map(() => z) });
    [x, before] = [outputs.x.data, outputs.x0?.data ?? before];
  }
  return Array.from(x);
}

describe.each(SAMPLERS)('%s', (name) => {
  it.each([1, 2, 3, 10])('gives a point back in %i steps', (steps) => {
    const got = sampleFrom([-2, 0, 1.5], name, processOf('linear', steps), { mean: 0.7, deviation: 0 }, 0.3);
    for (const value of got) expect(value).toBeCloseTo(0.7, 10);
  });
});

/** Where the probability flow takes x: to the same quantile of the data. */
function flow(x: number, process: Process, { mean, deviation }: Gaussian): number {
  const a = process.alphaBar[process.length - 1];
  return mean + (deviation * (x - Math.sqrt(a) * mean)) / Math.sqrt(a * deviation ** 2 + 1 - a);
}

describe('on a Gaussian', () => {
  const data = { mean: 0.4, deviation: 0.8 };
  const error = (name: SamplerName, steps: number): number => {
    const process = processOf('linear', steps);
    return Math.abs(sampleFrom([1.3], name, process, data)[0] - flow(1.3, process, data));
  };

  it.each([
    ['ddim', 1],
    ['heun', 2],
    ['dpm++', 2],
  ] as const)('%s comes nearer to the flow’s end with order %i', (name, order) => {
    const measured = Math.log2(error(name, 40) / error(name, 160)) / 2;
    expect(measured).toBeGreaterThan(order - 0.25);
  });
});

describe('the sampling entries', () => {
  const TINY = { inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 5, mlpRatio: 1 } as const;
  const traced = (entry: string, options: object) => traceEntry(dit(TINY), entry, { batch: 2, ...options });

  it('keep x̂₀ for the sampler that remembers it alone, and begin without one', () => {
    const states = (options: object) =>
      traced('sampleStep', options)
        .states.map(({ node }) => node.attrs.name)
        .sort();
    expect(states({ sampler: 'ddim' })).toEqual(['step', 'x']);
    expect(states({ sampler: 'dpm++' })).toEqual(['step', 'x', 'x0']);
    const { graph } = traced('sampleStart', { sampler: 'dpm++' });
    const left = { x: new Float64Array(128), x0: new Float64Array(128).fill(NaN), step: [0] };
    const { updates } = interpret(graph, { ...left, seed: [1, 2], first: [0] });
    expect([...updates.x0.data].every((value) => value === 0)).toBe(true);
  });

  it.each(SAMPLERS)('show x̂₀ where they are asked to, also midway: %s', (sampler) => {
    const eps = exactEps(processOf('linear'), { mean: 0.25, deviation: 0 });
    const entries = samplingEntries({
      channels: 1,
      size: 1,
      nullClass: 0,
      predict: (_p, x, t) => eps(x, t.cast('i32').reshape(-1, 1, 1, 1)),
    });
    const options = { batch: 1, steps: 10, sampler, cfg: 1, preview: true };
    const { graph } = traceEntry(defineModel({ config: {}, entries }), 'sampleStep', options);
    for (const step of [9, 5, 1, 0]) {
      const given = { x: [0.7], x0: [0.25], step: [step], seed: [0, 0], first: [0], y: [0], cfgScale: [1] };
      expect(interpret(graph, given).outputs.x0.data[0]).toBeCloseTo(0.25, 6);
    }
  });

  it('guide inside their interval alone, and as many channels as they are told', () => {
    // ε is the label in every channel: 1 where it is given, 0 for the null class.
    const entries = samplingEntries({
      channels: 4,
      size: 1,
      nullClass: 0,
      predict: (_p, x, _t, y) => x.mul(0).add(y.cast('f32').reshape(y.shape[0], 1, 1, 1)),
    });
    const epsAt = (step: number, options: Partial<SamplingOptions>) => {
      const model = defineModel({ config: {}, entries });
      const { graph } = traceEntry(model, 'sampleStep', { batch: 1, steps: 10, sampler: 'ddim', ...options });
      const x = [0, 0, 0, 0];
      const given = { x, step: [step], seed: [0, 0], first: [0], y: [1], cfgScale: [3] };
      const process = processOf('linear', 10);
      // x is 0, so that one step of DDIM leaves ε times a number.
      const [a, prev] = [process.alphaBar[step], process.alphaBarPrev[step]];
      const factor = Math.sqrt(1 - prev) - Math.sqrt(prev) * Math.sqrt(1 / a - 1);
      return [...interpret(graph, given).updates.x.data].map((value) => Number((value / factor).toFixed(9)));
    };
    expect(epsAt(5, { cfgChannels: 3 })).toEqual([3, 3, 3, 1]);
    expect(epsAt(5, { cfgChannels: 1 })).toEqual([3, 1, 1, 1]);
    for (const cfgChannels of ['all', 4] as const) expect(epsAt(5, { cfgChannels })).toEqual([3, 3, 3, 3]);
    // Steps 0 … 9 are timesteps 0, 111, … 999.
    const interval = { cfgChannels: 'all', cfgInterval: [0.2, 0.6] } as const;
    const guided = Array.from({ length: 10 }, (_, step) => epsAt(step, interval)[0]);
    expect(guided).toEqual([1, 1, 3, 3, 3, 3, 1, 1, 1, 1]);
  });
});
