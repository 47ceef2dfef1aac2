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

/**
 * The variants that run there, the best one first; of several, not those that a software GPU would compile for minutes.
 * @throws RuntimeError `limit` where none does.
 */
export function fitting(variants: readonly Variant[], adapter: GPUAdapter): readonly Variant[] {
  const isSlow = ({ hardware }: Variant) => hardware && variants.length > 1 && isSoftware(adapter.info);
  const reasons = variants.map((variant) =>
    isSlow(variant) ? 'it is for GPUs that are no software' : unfit(variant, adapter),
  );
  const found = variants.filter((_, i) => reasons[i] === undefined);
  if (found.length) return found;
  throw loadError({
    code: 'limit',
    what: 'this GPU does not run the model',
    why: variants.map(({ name }, i) => `${name}: ${reasons[i]}`).join('; '),
    fix: 'use a larger GPU, or build a smaller model or batch',
  });
}
