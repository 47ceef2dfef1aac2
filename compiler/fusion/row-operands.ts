/**
 * Rows inside products: which row kernels a product may compute as its left operand, and at what price. The product's workgroups
 * compute the statistics of their own rows first, and normalise as they load.
 *
 * It costs a pass over the rows per column of tiles, and saves a dispatch and a round trip of the activations: worth it where
 * a tile staged in workgroup memory is normalised once for all its columns. The subgroup plan of software devices stages
 * nothing and pays for every load (two passes of 2 loads more, against 5 loads and 48 multiply-adds per step of k, and a
 * dispatch costs it little): there the row kernel stays.
 */
import { labelOf, sameShape, sizeOf, type Node, type Remarks } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { isHardware, prefersSubgroupProducts } from '../device.ts';
import { groupOf, isRejected } from '../plans/family.ts';
import { describePlan, familyOf, planBy, type Planner } from '../plans/registry.ts';
import { domainOf, fullShape, type FusionGroup, type Result } from './group.ts';
import { columnsOf } from './planned.ts';
import { keepsRows } from './rows.ts';
import { sliceOf } from './slice.ts';

/** Why rows, of which somebody reads `value`, keep their kernel. */
export const remarkApart = (value: Node, { reductions }: FusionGroup, why: string, remarks?: Remarks): void =>
  remarks?.missed('fuse-row-statistics', [value, ...reductions], `the rows keep their own kernel: ${why}`);

/** Why a product does not compute rows that are its left operand, whoever else reads them. `isRead`: from memory. */
export function unfit(
  row: FusionGroup,
  product: FusionGroup,
  operand: Result,
  planner: Planner,
  isRead: (node: Node) => boolean,
): string | undefined {
  const { device } = planner;
  const anchor = product.anchor!;
  const label = labelOf(anchor);
  if (prefersSubgroupProducts(device))
    return `${device.name} computes products by subgroups that stage nothing, so ${label} would normalise anew for every tile`;
  if (!endsAsRows(operand, row.reductions[0]))
    return `${labelOf(operand.node)} is not the rows that are reduced, along the last axis`;
  if (product.reductions.length || product.totals.length || product.pieces) return `${label} has taken in other rows`;
  if (isHardware(device)) return repeatsLoads(row, anchor, planner, isRead);
  const work = workOf(row, isRead);
  if (work > MOST_WORK && columnsOf(product, planner) > 1)
    return `an element of them takes ${work} operations, which every column of tiles would do again`;
  return undefined;
}

/** Loads that one more dispatch is worth: some microseconds of a GPU's memory. An estimate, as those of stored.ts. */
const DISPATCH_LOADS = 250_000;

/**
 * Why GPUs have the rows in a kernel of their own: memory binds them, and each column of tiles reads its rows again for every pass of the
 * statistics, and what scales and shifts them at every load. Counted by the plan that the product has; undefined where it pays.
 */
function repeatsLoads(
  row: FusionGroup,
  product: Node,
  planner: Planner,
  isRead: (node: Node) => boolean,
): string | undefined {
  const group = groupOf(product);
  const withRows = { ...group, reductions: row.reductions };
  const [plan, inside] = [group, withRows].map((one) => planBy(one, planner));
  if (isRejected(plan) || isRejected(inside)) return undefined;
  // A plan that is given for the two together was found to be worth it.
  const isGiven = planner.plan?.(withRows, planner.device) !== undefined;
  if (!isGiven && describePlan(plan) !== describePlan(inside))
    return `${labelOf(product)} is computed better without them, by ${describePlan(plan)}`;
  const [columns] = familyOf(inside).cost(inside, group).loads;
  const size = sizeOf(fullShape(row));
  const isAlongRow = (node: Node) => (node.type.shape.at(-1) ?? 1) > 1;
  const perElement = passesOf(row, isRead).reduce((sum, { reads }) => sum + [...reads].filter(isAlongRow).length, 0);
  // The product loads its operand in any case; a kernel of their own writes it.
  const loads = columns * size * (perElement - 1);
  const apart = size * (perElement + 1) + DISPATCH_LOADS;
  const number = (n: number) => n.toLocaleString('en-US');
  return loads > apart
    ? `${labelOf(product)} has ${number(columns)} columns of tiles and would load ${number(loads)} elements besides its operands; a kernel of their own costs as much as ${number(apart)}`
    : undefined;
}

/** Scalar operations on an element, in all passes over a row, that are little beside what a tile does with it: a norm takes 8. */
const MOST_WORK = 16;

/** What a row kernel computes of an element in one pass over its rows, and what it reads for that. */
type RowPass = ReturnType<typeof sliceOf>;

/** The passes of a row kernel: one for the reductions that need the same earlier ones, and one that writes whole rows. */
function passesOf(row: FusionGroup, isRead: (node: Node) => boolean): RowPass[] {
  const own = new Set(row.results.map(({ node }) => node));
  const reductions = new Set(row.reductions);
  /** What a pass computes of an element; it finds in registers what earlier passes have reduced. */
  const pass = (values: Iterable<Node>) =>
    sliceOf(values, (node) => reductions.has(node) || (isRead(node) && !own.has(node)));
  const passes = new Map<string, Node[]>();
  for (const reduction of row.reductions) {
    const needed = [...pass(reduction.inputs).reads].filter((node) => reductions.has(node));
    const key = needed
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .join(' ');
    passes.set(key, [...(passes.get(key) ?? []), ...reduction.inputs]);
  }
  const last = [...own].filter((node) => !reductions.has(node));
  return [...passes.values(), last].map(pass);
}

/** Scalar operations that a row kernel does on one element of a row, in all its passes. */
function workOf(row: FusionGroup, isRead: (node: Node) => boolean): number {
  const length = sizeOf(fullShape(row));
  const flops = (node: Node) => {
    const { kind, cost } = opDef(node.op);
    const isElement = kind === 'pointwise' && sizeOf(node.type.shape) === length;
    return isElement ? cost([], node.attrs, { dtype: node.type.dtype, shape: [] }).flops : 0;
  };
  const all = passesOf(row, isRead).flatMap(({ members }) => [...members]);
  return all.reduce((sum, node) => sum + flops(node), 0);
}

/** Whether a row kernel's result is whole rows of what it reduces, along the last axis, at most regrouped by reshapes. */
function endsAsRows({ node, views }: Result, reduction: Node): boolean {
  const { shape } = reduction.inputs[0].type;
  const isLast = String(reduction.attrs.axes) === String([shape.length - 1]);
  const endsThere = !views.length || views[views.length - 1] === node;
  return isLast && sameShape(domainOf({ node, views }), shape) && views.every(keepsRows) && endsThere;
}

/** Whether the left operand has all the batch axes of the product: its rows are then the rows of the product. */
export const ownsBatch = ({ inputs: [left], type }: Node): boolean =>
  sameShape(left.type.shape.slice(0, -2), type.shape.slice(0, -2));
