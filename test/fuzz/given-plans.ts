/** Plans from outside, as a tuner gives them, by chance: of each group that is asked about one of those that it may have. */
import { Random } from '../../compiler/ops/index.ts';
import { isRejected } from '../../compiler/plans/family.ts';
import { candidatesFor, planFor, type Planner } from '../../compiler/plans/registry.ts';

export function anyPlans(seed: number): NonNullable<Planner['plan']> {
  const random = new Random(seed);
  return (group, device) => {
    const own = planFor(group, device);
    return isRejected(own) ? undefined : random.pick(candidatesFor(group, device, own));
  };
}
