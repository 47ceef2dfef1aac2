/**
 * One invocation per element of the product: for products too small to tile. There is little to gain by unrolling, and a driver
 * that does (lavapipe: loops of up to 32 rounds) compiles for seconds.
 */
import { sizeOf } from '../../ir/index.ts';
import type { SimpleProductPlan } from './plan.ts';
import { overDepth } from '../depth.ts';
import { serialStatistics } from '../row-statistics.ts';
import { linearInvocation, productOf, storeElement, storeSums, type Launch, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';

export function simpleProduct(site: Site, plan: SimpleProductPlan): Launch {
  const { b, inline, region } = site;
  const { shape } = region.anchor!.type;
  const product = productOf(site);
  const total = sizeOf(shape);
  const index = inline.ix.unflatten(linearInvocation(site, total, plan.workgroup), shape);
  const [batch, m, n] = [index.slice(0, -2), index[index.length - 2], index[index.length - 1]];
  if (region.reductions.length) serialStatistics(site, batch, m, product.k);
  const acc = b.variable('acc', b.literal(0, 'f32'));
  const sum = region.sums.length ? b.variable('row_sum', b.literal(0, 'f32')) : undefined;
  overDepth(
    site,
    product,
    (at) => {
      const left = product.left(batch, m, at);
      if (sum) b.assign(sum, b.binary('+', b.read(sum), left));
      b.assign(acc, b.call('fma', [left, product.right(batch, at, n), b.read(acc)]));
    },
    true,
  );
  storeElement(site, batch, [m, product.m], [n, product.n], b.read(acc));
  if (sum) storeSums(site, () => m, product.m, b.binary('==', inline.ix.expr(n), b.u32(0)), b.read(sum));
  return { workgroupSize: plan.workgroup, grid: foldGrid(Math.ceil(total / plan.workgroup)) };
}
