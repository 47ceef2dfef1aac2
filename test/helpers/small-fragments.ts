/**
 * Plans of few fragments where a device's own would have many: the same families and what they do at edges, in kernels that a software GPU's
 * compiler is done with in seconds instead of minutes. Most of its time goes into loads and stores of f16 under a mask: for each of them it walks
 * over all of the kernel again, so that the time grows with their number squared. Many invocations to share a tile have few each.
 */
import type { DeviceSpec } from '../../compiler/device.ts';
import { isRejected, kindOf, type Group } from '../../compiler/plans/family.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { FAMILIES, planFor, type Plan } from '../../compiler/plans/registry.ts';

const SMALL: Readonly<Record<string, object>> = {
  'product-fragments': { rows: 2, columns: 2, down: 2, across: 1, depth: 32 },
  'attention-fragments': { down: 8, others: 4 },
  'attention-gradient-fragments': { down: 8, others: 4 },
};

/** For `CompileOptions.plan`: of all groups that fragments can compute, those too that the device would rather compute otherwise. */
export function fragmentsAnywhere(group: Group, device: DeviceSpec): Plan | undefined {
  const family = FAMILIES.find(({ name, computes }) => SMALL[name] && computes.includes(kindOf(group)));
  const [shape] = family ? fragmentShapes(device, group.anchor!.inputs[0].type.dtype) : [];
  if (!shape) return undefined;
  const plan = { family: family!.name, ...shape, ...SMALL[family!.name] } as Plan;
  return isRejected(planFor(group, device, plan)) ? undefined : plan;
}

/** The same of groups that the device computes in fragments by itself. */
export function smallFragments(group: Group, device: DeviceSpec): Plan | undefined {
  const own = planFor(group, device);
  return isRejected(own) || !SMALL[own.family] ? undefined : fragmentsAnywhere(group, device);
}
