/** One invocation per element of the root. */
import { sizeOf } from '../../ir/index.ts';
import type { MapPlan } from './plan.ts';
import { foldGrid, linearInvocation, storeResults, type Launch, type Site } from '../common.ts';

export function mapKernel(site: Site, plan: MapPlan): Launch {
  const { shape } = site.region.root.type;
  const total = sizeOf(shape);
  const i = linearInvocation(site, total, plan.workgroup);
  storeResults(site, site.inline.ix.unflatten(i, shape));
  return { workgroupSize: plan.workgroup, grid: foldGrid(Math.ceil(total / plan.workgroup)) };
}
