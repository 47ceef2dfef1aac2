/**
 * Product with few rows: a matrix of weights against a handful of vectors, bound by reading the weights once. `share`
 * invocations walk along k of one column together, so that neighbours read neighbouring weights, and add up their parts
 * through workgroup memory.
 */
import { sizeOf } from '../../ir/index.ts';
import type { Expr } from '../../kernel/ir.ts';
import { partsOf, type DotProductPlan } from './plan.ts';
import { batchIndex, builtins, productOf, storeElement, type Launch, type Site } from '../common.ts';

export function dotProduct(site: Site, plan: DotProductPlan): Launch {
  const { lanes, share } = plan;
  const { b, inline } = site;
  const { ix } = inline;
  const product = productOf(site);
  const { m, n } = product;
  const columns = lanes / share;
  const gridX = Math.ceil(n / columns);
  const batch = batchIndex(site, product.batch);
  const { groupX, lane } = builtins(b);
  const column0 = ix.scale(ix.atom(groupX, gridX - 1), columns);
  const [local, part] = ix.divmod(ix.atom(lane, lanes - 1), share);
  const column = ix.clamp(ix.add(column0, local), n - 1, 'column');
  const rows = Array.from({ length: m }, (_, r) => r);
  const acc = rows.map((r) => b.variable(`acc_${r}`, b.literal(0, 'f32')));
  for (const { from, size } of product.parts) {
    const rounds = Math.ceil(size / share);
    b.loop('s', rounds, (s) => {
      const within = ix.add(ix.scale(ix.atom(s, rounds - 1), share), part);
      const inside = ix.clamp(within, size - 1, 'k_inside');
      const k = ix.offset(inside, from);
      const loaded = product.right(batch, k, column);
      const isInside = () => b.binary('<', ix.expr(within), b.u32(size));
      // Both are 0 past the end: 0 · ∞ is NaN.
      const padded = (x: Expr) => (inside === within ? x : b.call('select', [b.literal(0, 'f32'), x, isInside()]));
      const w = b.bind('w', padded(loaded));
      rows.forEach((r) => {
        const left = padded(product.left(batch, { base: r, terms: [] }, k));
        b.assign(acc[r], b.call('fma', [left, w, b.read(acc[r])]));
      });
    });
  }
  const parts = b.sharedArray('parts', partsOf(plan, m));
  const mine = ix.scale(ix.atom(lane, lanes - 1), m);
  rows.forEach((r) => b.storeShared(parts, ix.expr(ix.offset(mine, r)), b.read(acc[r])));
  b.barrier();
  b.when(b.binary('<', lane, b.u32(columns * m)), () => {
    const [own, row] = ix.divmod(ix.atom(lane, columns * m - 1), m);
    const first = ix.add(ix.scale(own, share * m), row);
    const sum = b.variable('sum', b.literal(0, 'f32'));
    b.loop('p', share, (p) => {
      const at = ix.add(first, ix.scale(ix.atom(p, share - 1), m));
      b.assign(sum, b.binary('+', b.read(sum), b.loadShared(parts, ix.expr(at))));
    });
    storeElement(site, batch, [row, m], [ix.add(column0, own), n], b.bind('product', b.read(sum)));
  });
  return { workgroupSize: lanes, grid: [gridX, 1, sizeOf(product.batch)] };
}
