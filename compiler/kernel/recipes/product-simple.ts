/** One invocation per element of the product: for products too small to tile. */
import { sizeOf } from '../../ir/index.ts';
import type { SimpleProductPlan } from '../../schedule/plan.ts';
import { overDepth } from './depth.ts';
import { serialStatistics } from './row-statistics.ts';
import { foldGrid, linearInvocation, productOf, storeResults, type Launch, type Site } from './common.ts';

export function simpleProduct(site: Site, plan: SimpleProductPlan): Launch {
  const { b, inline, region } = site;
  const anchor = region.anchor!;
  const { shape } = anchor.type;
  const product = productOf(site);
  const total = sizeOf(shape);
  const index = inline.ix.unflatten(linearInvocation(site, total, plan.workgroup), shape);
  const [batch, m, n] = [index.slice(0, -2), index[index.length - 2], index[index.length - 1]];
  if (region.reductions.length) serialStatistics(site, batch, m, product.k);
  const acc = b.variable('acc', b.literal(0, 'f32'));
  overDepth(site, product, (at) => {
    b.assign(acc, b.call('fma', [product.left(batch, m, at), product.right(batch, at, n), b.read(acc)]));
  });
  inline.given.set(anchor, () => b.read(acc));
  storeResults(site, index);
  return { workgroupSize: plan.workgroup, grid: foldGrid(Math.ceil(total / plan.workgroup)) };
}
