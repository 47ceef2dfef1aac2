/** Which variant an adapter runs: decided before anything is fetched, and told with the reasons. */
import { isSoftware } from '../device.ts';
import { loadError } from './error.ts';
import type { Variant } from './model-file.ts';

/** Why an adapter does not run a variant; undefined of one that it does. */
export function unfit({ features, subgroup, limits: needed }: Variant, adapter: GPUAdapter): string | undefined {
  const lacking = features.find((feature) => !adapter.features.has(feature as GPUFeatureName));
  if (lacking) return `the GPU has no ${lacking}`;
  // Without sizes (older browsers) the standard's bounds hold.
  const { subgroupMinSize: min = 4, subgroupMaxSize: max = 128 } = adapter.info;
  if (subgroup !== undefined && (min !== subgroup || max !== subgroup))
    return `its subgroups are of ${min === max ? min : `${min} to ${max}`} lanes, not ${subgroup}`;
  const limits = adapter.limits as unknown as Readonly<Record<string, number>>;
  const low = Object.entries(needed).find(([name, least]) => !(limits[name] >= least));
  return low && `its ${low[0]} is ${limits[low[0]]}, ${low[1]} are needed`;
}

export interface Fitting {
  /** The best one first. */
  readonly chosen: readonly Variant[];
  /** Why better ones than the first are none of them. */
  readonly passedOver: readonly string[];
}

/**
 * The variants that run there; of several, not those that a software GPU would compile for minutes.
 * @throws RuntimeError `limit` where none does.
 */
export function fitting(variants: readonly Variant[], adapter: GPUAdapter): Fitting {
  const isSlow = ({ hardware }: Variant) => hardware && variants.length > 1 && isSoftware(adapter.info);
  const reasons = variants.map((variant) =>
    isSlow(variant) ? 'it is for hardware GPUs alone' : unfit(variant, adapter),
  );
  const chosen = variants.filter((_, i) => reasons[i] === undefined);
  const passedOver = variants.slice(0, variants.indexOf(chosen[0])).map(({ name }, i) => `not ${name}: ${reasons[i]}`);
  if (chosen.length) return { chosen, passedOver };
  throw loadError({
    code: 'limit',
    what: 'this GPU does not run the model',
    why: variants.map(({ name }, i) => `${name}: ${reasons[i]}`).join('; '),
    fix: 'use a larger GPU, or build a smaller model or batch',
  });
}
