/** One invocation per line: it walks along the axis, carries the sum, and writes what follows it at each element. */
import { attrNumber } from '../../ops/index.ts';
import { computeType } from '../../kernel/builder.ts';
import type { Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import { linearInvocation, storeResults, type Launch, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';
import { linesOf, type ScanPlan } from './plan.ts';

export function scanKernel(site: Site, { workgroup }: ScanPlan): Launch {
  const { b, inline, region } = site;
  const anchor = region.anchor!;
  const [x, factors] = anchor.inputs;
  const { shape, dtype } = anchor.type;
  const axis = attrNumber(anchor.attrs, 'axis');
  const { count, length } = linesOf(region);
  const line = inline.ix.unflatten(linearInvocation(site, count, workgroup), shape.with(axis, 1));
  const sum = b.variable(anchor.name ?? 'sum', b.literal(0, computeType(dtype)));
  const step = (place: Index) => {
    const index = line.with(axis, place);
    const before = factors
      ? b.binary('*', inline.value(factors, broadcastIndex(index, factors.type.shape)), b.read(sum))
      : b.read(sum);
    b.assign(sum, b.binary('+', inline.value(x, index), before));
    const value = b.read(sum);
    inline.given.set(anchor, () => value);
    storeResults(site, index);
  };
  b.loop('t', length, (t) => step(inline.ix.atom(t, length - 1)), true);
  return { workgroupSize: workgroup, grid: foldGrid(Math.ceil(count / workgroup)) };
}
