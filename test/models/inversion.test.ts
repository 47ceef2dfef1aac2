/** From pictures to their noise: every step against PyTorch, and on data whose flow is known exactly. */
import { describe, expect, it } from 'vitest';
import { defineModel, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { completeFlow, flow, lookUp, samplers, inverters } from '../../models/diffusion.ts';
import { dit, type DiTConfig } from '../../models/dit.ts';
import { interpolants } from '../../models/interpolant.ts';
import type { Inverter, Sampler } from '../../models/objective.ts';
import { inverseColumns, reverseColumns } from '../../models/reverse.ts';
import { processOf } from '../../models/schedule.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { bindingsOf, goldenCases, readGolden } from './golden.ts';

describe('each step equals PyTorch', () => {
  it.each(goldenCases('inversion-'))('%s', async (stem) => {
    const golden = await readGolden(stem);
    const { model, options } = golden.config as { model: DiTConfig; options: { steps: number; cfg: number } };
    const { graph } = traceEntry(dit(model), 'invertStep', { batch: golden.shapes['input.images'][0], ...options });
    const bindings = bindingsOf(golden);
    const size = golden.values['input.images'].length;
    const after = (k: number) =>
      k < 0 ? golden.values['input.images'] : Array.from(golden.values['output.x']).slice(k * size, (k + 1) * size);
    for (let k = 0; k < options.steps; k++) {
      const given = { ...bindings, x: after(k - 1), step: [k], cfgScale: [options.cfg] };
      const { updates } = interpret(graph, given);
      expect(relativeError(updates.x.data, after(k)), `step ${k}`).toBeLessThan(1e-6);
      expect([...updates.step.data]).toEqual([k + 1]);
    }
  });
});

/** Data N(mean, deviation²), per pixel, and where the flow takes its pixels at the end: to the same quantile of N(0,1). */
const [mean, deviation] = [0.4, 0.8];
const PIXELS = [-1.2, 0.1, 0.4, 1.3];
const NOISE = PIXELS.map((x) => (x - mean) / deviation);

/** A way as a graph of one step: what it makes of x. */
function wayOf(columns: Record<string, ArrayLike<number>>, step: (k: Record<string, Tensor>, x: Tensor) => Tensor) {
  const model = defineModel({
    config: {},
    entries: { main: (e) => ({ x: step(lookUp(columns, e.input('step', [], 'i32')), e.input('x', [1, 1, 1, 4])) }) },
  });
  const { graph } = traceEntry(model, 'main', { batch: 1 });
  return (x: ArrayLike<number>, j: number) => interpret(graph, { x, step: [j] }).outputs.x.data;
}

/** To noise and back by flow matching, by the best model there is of such data. */
function flowWays(
  sampler: string,
  interpolant: 'linear' | 'cosine',
  prediction: 'velocity' | 'score' | 'noise' | 'x0',
) {
  return (steps: number) => {
    const objective = flow(completeFlow({ interpolant, prediction }));
    const predict = (x: Tensor, timestep: Tensor) => {
      const p = interpolants[interpolant].of(timestep.mul(1 / 1000));
      const variance = p.alpha.square().mul(deviation ** 2).add(p.sigma.square()); // prettier-ignore
      const off = x.sub(p.alpha.mul(mean)).div(variance);
      const [x0, eps] = [off.mul(p.alpha).mul(deviation ** 2).add(mean), off.mul(p.sigma)]; // prettier-ignore
      const says = {
        velocity: () => x0.mul(p.alphaSlope).add(eps.mul(p.sigmaSlope)),
        score: () => off.neg(),
        noise: () => eps,
        x0: () => x0,
      };
      return { out: says[prediction]() };
    };
    const to = objective.inverters[sampler] as Inverter<string>;
    const back = objective.samplers[sampler] as Sampler<string>;
    return {
      to: wayOf(objective.wayToNoise(steps, { batch: 1 }).columns, (k, x) => to.step({ k, x, predict })),
      back: wayOf(objective.wayBack(steps, { batch: 1 }).columns, (k, x) => {
        return back.step({ k, x, z: x, predict, eta: 0, clip: false }).x;
      }),
    };
  };
}

/** The same by DDIM. */
function ddimWays(steps: number) {
  const process = processOf('linear', steps);
  const exact = {
    scale: process.alphaBar.map((a) => Math.sqrt(1 - a) / (a * deviation ** 2 + 1 - a)),
    shift: process.alphaBar.map((a) => Math.sqrt(a) * mean),
  };
  const way = (columns: Record<string, ArrayLike<number>>, step: (k: never, x: Tensor, eps: Tensor) => Tensor) =>
    wayOf({ ...columns, ...exact }, (k, x) => step(k as never, x, x.sub(k.shift).mul(k.scale)));
  return {
    to: way(inverseColumns(process), (k, x, out) => inverters.ddim.step({ k, x, predict: () => ({ out }) })),
    back: way(reverseColumns(process), (k, x, out) => {
      return samplers.ddim.step({ k, x, z: x, predict: () => ({ out }), eta: 0, clip: false }).x;
    }),
  };
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

describe('of a Gaussian', () => {
  const ways = [
    ['ddim', 1, ddimWays],
    ['euler, linear, velocity', 1, flowWays('euler', 'linear', 'velocity')],
    ['euler, cosine, noise', 1, flowWays('euler', 'cosine', 'noise')],
    ['heun, linear, velocity', 2, flowWays('heun', 'linear', 'velocity')],
    ['heun, cosine, velocity', 2, flowWays('heun', 'cosine', 'velocity')],
  ] as const;
  const there = (way: (typeof ways)[number][2], steps: number) => {
    const { to, back } = way(steps);
    let x: ArrayLike<number> = PIXELS;
    for (let j = 0; j < steps; j++) x = to(x, j);
    const noise = x;
    for (let j = steps - 1; j >= 0; j--) x = back(x, j);
    return { noise: distance(noise, NOISE), picture: distance(x, PIXELS) };
  };

  it.each(ways)('%s comes nearer to its noise, and to the picture again, with order %i', (_, order, way) => {
    const [few, many] = [there(way, 25), there(way, 100)];
    expect(many.noise).toBeLessThan(0.05);
    expect(Math.log2(few.picture / many.picture) / 2).toBeGreaterThan(order - 0.3);
  });

  it.each(['score', 'x0'] as const)('%s, which says nothing of noise at the picture, comes back too', (prediction) => {
    const { noise, picture } = there(flowWays('euler', 'linear', prediction), 200);
    expect(noise).toBeLessThan(0.05);
    expect(picture).toBeLessThan(0.05);
  });
});

it('is refused where noise is drawn on the way', () => {
  const trace =
    (options: object, config = {}) =>
    () =>
      traceEntry(dit({ hiddenSize: 8, depth: 1, numHeads: 2, ...config }), 'invertStep', { batch: 1, ...options });
  expect(trace({})).toThrow(/sampler is "ddpm": it has no way from a picture to noise; use one of ddim/);
  expect(trace({ sampler: 'ddim', eta: 0.5 })).toThrow(/eta is 0.5: noise that is drawn .*; leave it 0/);
  expect(trace({ sampler: 'euler-maruyama' }, { learnSigma: false, flow: {} })).toThrow(/use one of euler, heun/);
});
