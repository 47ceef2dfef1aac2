/**
 * The objective of DDPM: the model predicts the noise of a process of 1000 steps and, where it learns one, the variance of the
 * step back. Ho et al. 2020, Nichol & Dhariwal 2021.
 */
import type { EntryOptions } from '../compiler/dsl/index.ts';
import { misconfigured, oneOf, realNumber } from './config.ts';
import { coefficientsAt, lossTerms, minSnrWeight } from './loss.ts';
import type { Objective } from './objective.ts';
import { inverseColumns, reverseColumns, type Coefficients } from './reverse.ts';
import { inverters, samplers } from './samplers.ts';
import { processOf, SCHEDULES, TRAIN_STEPS } from './schedule.ts';

/** Options of the entries. */
export interface DdpmOptions {
  readonly schedule: (typeof SCHEDULES)[number];
  /** DDIM's η: 0 adds no noise. */
  readonly eta: number;
  /** Most signal-to-noise ratio that the squared error of a step counts with (loss.ts); 0: all steps count alike. */
  readonly minSnr: number;
}

/** A DDPM's process and loss unless told. */
export const ddpmDefaults: DdpmOptions = { schedule: 'linear', eta: 0, minSnr: 0 };

const scheduleOf = (given: EntryOptions) => oneOf('schedule', given.schedule ?? ddpmDefaults.schedule, SCHEDULES);

/** Noise prediction with learned variance: Ho et al. 2020, Nichol & Dhariwal 2021. */
export const ddpm: Objective<keyof Coefficients, keyof ReturnType<typeof inverseColumns>> = {
  told: 'predicts the noise of DDPM',
  samplers,
  inverters,
  defaults: { sampler: 'ddpm', steps: 250, schedule: ddpmDefaults.schedule, eta: ddpmDefaults.eta },
  wayBack(steps, given) {
    const eta = realNumber('eta', given.eta ?? ddpmDefaults.eta, 0, 1);
    const process = processOf(scheduleOf(given), steps);
    return { columns: reverseColumns(process, eta), shares: process.timesteps.map((t) => t / TRAIN_STEPS) };
  },
  wayToNoise(steps, given) {
    const eta = realNumber('eta', given.eta ?? ddpmDefaults.eta, 0, 1);
    if (eta)
      throw misconfigured(`eta is ${eta}`, 'noise that is drawn on the way leads back to no picture', 'leave it 0');
    const process = processOf(scheduleOf(given), steps);
    return { columns: inverseColumns(process), shares: process.timesteps.map((t) => t / TRAIN_STEPS) };
  },
  trainer(given) {
    const process = processOf(scheduleOf(given));
    const minSnr = realNumber('minSnr', given.minSnr ?? ddpmDefaults.minSnr, 0);
    return {
      timeType: 'i32',
      drawTimes: ({ uniform }) =>
        uniform()
          .mul(TRAIN_STEPS)
          .cast('i32')
          .minimum(TRAIN_STEPS - 1),
      losses(t, x0, noise, predict) {
        const { mse, vb } = lossTerms(process, t, x0, noise, (x) => predict(x, t.cast('f32')));
        const weighted = minSnr ? mse.mul(minSnrWeight(coefficientsAt(process, t), minSnr).reshape(t.shape[0])) : mse;
        return { mse, vb, loss: weighted.add(vb) };
      },
      part: (t, parts) => t.mul(parts).div(TRAIN_STEPS),
    };
  },
};
