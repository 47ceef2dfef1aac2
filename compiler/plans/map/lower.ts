/** One invocation per element of the root, or for four of them; the first one computes numbers besides. */
import { sizeOf } from '../../ir/index.ts';
import { domainOf, mapShape } from '../../fusion/group.ts';
import { ZERO } from '../../kernel/index-map.ts';
import type { MapPlan } from './plan.ts';
import { linearInvocation, storeFours, storeResults, type Launch, type Output, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';

export function mapKernel(site: Site, { workgroup, width = 1 }: MapPlan): Launch {
  const { b, inline, outputs, region } = site;
  const { ix } = inline;
  const shape = mapShape(region);
  const runs = sizeOf(shape) / width;
  const i = linearInvocation(site, runs, workgroup);
  const isNumber = (output: Output) => sizeOf(domainOf(output)) < sizeOf(shape);
  const elements = outputs.filter((output) => !isNumber(output));
  const at = (u: number) => ix.unflatten(ix.offset(ix.scale(i, width), u), shape);
  if (width === 1) storeResults(site, at(0), elements);
  else storeFours(site, elements, at);
  const numbers = outputs.filter(isNumber);
  if (numbers.length) {
    b.when(b.binary('==', ix.expr(i), b.u32(0)), () =>
      numbers.forEach((number) =>
        storeResults(
          site,
          number.node.type.shape.map(() => ZERO),
          [number],
        ),
      ),
    );
  }
  return { workgroupSize: workgroup, grid: foldGrid(Math.ceil(runs / workgroup)) };
}
