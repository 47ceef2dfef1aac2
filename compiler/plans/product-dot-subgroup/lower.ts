/**
 * Product with few rows, bound by reading the weights once: a subgroup's lanes walk along k side by side, some columns at a time, so that
 * the rows are read once for all of these. Each element is the sum of what its lanes have, and one of them stores it.
 */
import { sizeOf } from '../../ir/index.ts';
import type { Index } from '../../kernel/index-map.ts';
import { reducer } from '../../kernel/inline.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import {
  batchIndex,
  builtins,
  productOf,
  range,
  storeElement,
  type Launch,
  type Product,
  type Site,
} from '../common.ts';
import type { Part } from '../depth-parts.ts';
import type { SubgroupDotPlan } from './plan.ts';

/** The elements of a subgroup: where their rows and columns are, inside of the product. */
interface Block {
  readonly batch: readonly Index[];
  readonly rows: readonly Index[];
  readonly columns: readonly Index[];
  /** The invocation's place in its subgroup. */
  readonly lane: Index;
}

export function subgroupDotProduct(site: Site, plan: SubgroupDotPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { subgroups, rows, columns, lanes, sized } = plan;
  const product = productOf(site);
  const { m, n } = product;
  const [gridX, gridY] = [Math.ceil(n / (subgroups * columns)), Math.ceil(m / rows)];
  const { groupX, groupY, lane: invocation } = builtins(b);
  const batch = batchIndex(site, product.batch);
  const [subgroup, lane] = ix.divmod(ix.atom(invocation, subgroups * lanes - 1), lanes);
  const row0 = ix.scale(ix.atom(groupY, gridY - 1), rows);
  const column0 = ix.scale(ix.add(ix.scale(ix.atom(groupX, gridX - 1), subgroups), subgroup), columns);
  const inside = (first: Index, count: number, length: number, hint: string) =>
    range(count).map((i) => ix.clamp(ix.offset(first, i), length - 1, hint));
  const block: Block = {
    batch,
    rows: inside(row0, rows, m, 'row'),
    columns: inside(column0, columns, n, 'column'),
    lane,
  };
  const sums = range(rows).map((r) => range(columns).map((c) => b.variable(`acc_${r}_${c}`, b.literal(0, 'f32'))));
  for (const part of product.parts) addPart(site, plan, product, part, block, sums);
  const { across } = reducer(b, { op: 'reduce_sum', type: { dtype: 'f32', shape: [] } });
  const totals = sums.flat().map((sum) => b.bind('sum', across(b.read(sum), lanes)));
  // Lane i has the subgroup's element i.
  const isLane = (i: number) => b.binary('==', ix.expr(lane), b.u32(i));
  const own = totals.reduce((chosen, total, i) => (i ? b.call('select', [chosen, total, isLane(i)]) : total));
  const store = () => {
    const [r, c] = ix.divmod(ix.atom(ix.expr(lane), rows * columns - 1), columns);
    storeElement(site, batch, [ix.add(row0, r), m], [ix.add(column0, c), n], b.bind('product', own));
  };
  if (rows * columns === lanes) store();
  else b.when(b.binary('<', ix.expr(lane), b.u32(rows * columns)), store);
  const grid = [gridX, gridY, sizeOf(product.batch)] as const;
  return { workgroupSize: subgroups * lanes, grid, subgroup: { size: lanes, sized } };
}

/** Adds what the lane has of a stretch of the depth. Past its end both operands are 0: 0 · ∞ is NaN. */
function addPart(
  { b, inline: { ix } }: Site,
  { lanes, width }: SubgroupDotPlan,
  product: Product,
  { from, size }: Part,
  { batch, rows, columns, lane }: Block,
  sums: readonly (readonly Variable[])[],
): void {
  const isWhole = size % width === 0 && from % width === 0;
  const each = isWhole ? width : 1;
  const vectors = size / each;
  const rounds = Math.ceil(vectors / lanes);
  b.loop('s', rounds, (s) => {
    const raw = ix.add(ix.scale(ix.atom(s, rounds - 1), lanes), lane);
    const vector = ix.clamp(raw, vectors - 1, 'k_inside');
    const steps = range(each).map((u) => ix.offset(ix.scale(vector, each), from + u));
    const padded = (x: Expr) =>
      vector === raw ? x : b.call('select', [b.literal(0, 'f32'), x, b.binary('<', ix.expr(raw), b.u32(vectors))]);
    const left = rows.map((row) => steps.map((k) => b.bind('x', padded(product.left(batch, row, k)))));
    const right = columns.map((column) => steps.map((k) => b.bind('w', padded(product.right(batch, k, column)))));
    sums.forEach((line, r) =>
      line.forEach((sum, c) =>
        steps.forEach((_, u) => b.assign(sum, b.call('fma', [left[r][u], right[c][u], b.read(sum)]))),
      ),
    );
  });
}
