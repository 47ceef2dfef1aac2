/**
 * Dynamic loss scaling, for training in f16: small gradients would be zero there, so the loss is multiplied before it is
 * differentiated, and the gradients are divided again in f32. Where one is not finite the scale was too large: the update is left
 * out and the scale halved, all on the device. Micikevicius et al. 2018, section 3.2; numbers as of PyTorch's GradScaler.
 *
 * State: `optimizer.lossScale` f32[]; `optimizer.goodSteps` i32[], updates since it last changed; `optimizer.skipped` i32[],
 * updates left out.
 */
import { constant, isFinite, where, type Entry, type EntryOptions, type Tensor } from '../compiler/dsl/index.ts';
import { realNumber, wholeNumber } from './config.ts';

export interface LossScaleOptions {
  /** What the loss is multiplied by at first; 0: not at all, now or later. */
  readonly lossScale: number;
  /** Updates in a row after which the scale is doubled. */
  readonly growthInterval: number;
}

const FIRST_IN_F16 = 2 ** 16;
const GROWTH = 2;
const BACKOFF = 0.5;
const LARGEST = 2 ** 126;

/** The options of an entry, checked: the loss of a build for f16 is scaled unless told. @throws DitcError `config`. */
export function lossScaleOptions({ dtype, lossScale, growthInterval }: EntryOptions): LossScaleOptions {
  return {
    lossScale: realNumber('lossScale', lossScale ?? (dtype === 'f16' ? FIRST_IN_F16 : 0), 0, LARGEST),
    growthInterval: wholeNumber('growthInterval', growthInterval ?? 2000),
  };
}

const statesOf = (e: Entry) => ({
  scale: e.state('optimizer.lossScale', []),
  good: e.state('optimizer.goodSteps', [], 'i32'),
  skipped: e.state('optimizer.skipped', [], 'i32'),
});

/** Sets the scale to its first value. */
export function startLossScale(e: Entry, { lossScale }: LossScaleOptions): void {
  if (!lossScale) return;
  const { scale, good, skipped } = statesOf(e);
  e.update(scale, constant(lossScale));
  for (const count of [good, skipped]) e.update(count, constant(0, [], 'i32'));
}

/** The scaling of one update; undefined where there is none. */
export function lossScaling(e: Entry, { lossScale, growthInterval }: LossScaleOptions) {
  if (!lossScale) return undefined;
  const { scale, good, skipped } = statesOf(e);
  return {
    scaled: (loss: Tensor): Tensor => loss.mul(scale),
    unscaled: (gradient: Tensor): Tensor => gradient.mul(constant(1).div(scale)),
    /**
     * Whether to update, from the norm of all gradients together, which is finite only if each of them is; and the state
     * after it. `set` gives a state its next value.
     */
    judge(norm: Tensor, set: (state: Tensor, next: Tensor) => Tensor) {
      const isGood = isFinite(norm);
      const grows = good.add(1).ge(growthInterval);
      const larger = where(grows, scale.mul(GROWTH).minimum(LARGEST), scale);
      set(good, where(isGood, where(grows, 0, good.add(1)), 0));
      return {
        isGood,
        lossScale: set(scale, where(isGood, larger, scale.mul(BACKOFF))),
        skipped: set(skipped, where(isGood, skipped, skipped.add(1))),
      };
    },
  };
}
