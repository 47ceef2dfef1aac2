/** What a training is set to: from the command line, or from the checkpoint it goes on from. */
import type { Precision } from '../../compiler/pipeline.ts';
import { UsageError } from '../errors.ts';

/** Options of the training entries, by the names that models know. */
export const HYPERPARAMETERS = [
  'lr',
  'weightDecay',
  'beta1',
  'beta2',
  'eps',
  'ema',
  'emas',
  'warmup',
  'cosine',
  'clip',
  'accumulate',
  'minSnr',
  'gradNorm',
  'lossScale',
  'growthInterval',
  'reconstruction',
  'klWeight',
  'train',
  'lora',
] as const;

export type Hyperparameters = Readonly<Partial<Record<(typeof HYPERPARAMETERS)[number], number | string>>>;

export interface Settings {
  /** Examples per step. */
  readonly batch: number;
  readonly seed: number;
  /** Whether half of the examples are mirrored. */
  readonly flip: boolean;
  /** Share of the examples that is held out, to measure the loss on; 0: none. */
  readonly val: number;
  /** Of what products read; the weights are f32. */
  readonly dtype: Precision;
  /** Those that were given; the model decides the others. */
  readonly options: Hyperparameters;
}

/** The same as the command line gives it: what is left out is undefined. */
export type GivenSettings = Readonly<Partial<Omit<Settings, 'options'>>> & { readonly options: Hyperparameters };

/** They decide what there is to train, whose steps and moments a checkpoint keeps. */
const STATEFUL = ['train', 'lora'] as const;

const DEFAULTS = { batch: 32, seed: 0, flip: false, val: 0, dtype: 'f32' as Precision };

/**
 * The settings to train with: what is given, then the checkpoint's, then the defaults. Notes name what is changed.
 * @throws UsageError when the order of the data would be another than the checkpoint's position is in, or the state another.
 */
export function settle(
  given: GivenSettings,
  saved?: Settings,
): { readonly settings: Settings; readonly notes: string[] } {
  const before = { ...DEFAULTS, options: {}, ...saved };
  const {
    batch = before.batch,
    seed = before.seed,
    flip = before.flip,
    val = before.val,
    dtype = before.dtype,
  } = given;
  const settings = { batch, seed, flip, val, dtype, options: { ...before.options, ...given.options } };
  if (!saved) return { settings, notes: [] };
  if (seed !== saved.seed) {
    const why = `the checkpoint was trained with ${saved.seed}, and its place in the data is one of that order`;
    throw new UsageError({ what: `--seed is ${seed}`, why, fix: 'leave --seed out, or begin anew' });
  }
  if (val !== before.val) {
    const why = `${before.val ? `${before.val} of the examples were` : 'nothing was'} held out until the checkpoint`;
    throw new UsageError({ what: `--val is ${val}`, why, fix: 'leave --val out, or begin anew with --weights' });
  }
  if (dtype !== before.dtype) {
    const why = `the checkpoint was trained in ${before.dtype}`;
    throw new UsageError({ what: `--dtype is ${dtype}`, why, fix: 'leave --dtype out, or begin anew with --weights' });
  }
  for (const name of STATEFUL) {
    const [had, has] = [before.options[name] || undefined, settings.options[name] || undefined];
    if (had === has) continue;
    const why = `the checkpoint was trained ${had === undefined ? 'without' : `with ${had}`}: the steps and moments that it keeps are of that`;
    const fix = `leave --${name} out, or begin anew with --weights`;
    throw new UsageError({ what: `--${name} is ${has ?? 'none'}`, why, fix });
  }
  const flat = ({ options, ...rest }: Settings): Record<string, unknown> => ({ ...rest, ...options });
  const [was, is] = [flat(before), flat(settings)];
  const changed = Object.keys(is).filter((name) => is[name] !== was[name]);
  return {
    settings,
    notes: changed.map((name) => `${name} is ${is[name]} from here on, it was ${was[name] ?? 'unset'}`),
  };
}
