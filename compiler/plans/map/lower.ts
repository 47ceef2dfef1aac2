/** One invocation per element of the root; the first one computes numbers besides. */
import { sizeOf } from '../../ir/index.ts';
import { domainOf } from '../../fusion/group.ts';
import { ZERO } from '../../kernel/index-map.ts';
import type { MapPlan } from './plan.ts';
import { linearInvocation, storeResults, type Launch, type Output, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';

export function mapKernel(site: Site, plan: MapPlan): Launch {
  const { b, inline, outputs, region } = site;
  const { shape } = region.root.type;
  const total = sizeOf(shape);
  const i = linearInvocation(site, total, plan.workgroup);
  const isNumber = (output: Output) => sizeOf(domainOf(output)) < total;
  storeResults(
    site,
    inline.ix.unflatten(i, shape),
    outputs.filter((output) => !isNumber(output)),
  );
  const numbers = outputs.filter(isNumber);
  if (numbers.length) {
    b.when(b.binary('==', inline.ix.expr(i), b.u32(0)), () =>
      numbers.forEach((number) =>
        storeResults(
          site,
          number.node.type.shape.map(() => ZERO),
          [number],
        ),
      ),
    );
  }
  return { workgroupSize: plan.workgroup, grid: foldGrid(Math.ceil(total / plan.workgroup)) };
}
