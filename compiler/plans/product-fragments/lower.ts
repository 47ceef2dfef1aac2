/**
 * Product on matrix units. Tiles of the operands are staged in workgroup memory, rounded to what the fragments hold; while subgroups
 * multiply one, the next is on its way in registers. Sums are f32, in the order of k within and between fragments' steps; what is
 * computed of the product (bias, GELU, gate + residual) is computed of them as they go through workgroup memory.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { opDef } from '../../ops/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import type { Expr } from '../../kernel/ir.ts';
import {
  boundedGroup,
  builtins,
  productOf,
  range,
  storeElement,
  storeFour,
  storeSums,
  type Launch,
  type Site,
} from '../common.ts';
import type { Part } from '../depth-parts.ts';
import { loadFragmentTile, stageFragmentTile, strideOf, tileArray, type FragmentTile } from '../fragment-tiles.ts';
import { eachFour, eachRowSum, handoutOf, multiplyTiles, zeroBlock, zeroSums, type Handout } from '../fragments.ts';
import { alongK, invocationsOf, type FragmentProductPlan } from './plan.ts';

export function fragmentProduct(site: Site, plan: FragmentProductPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { down, across, depth, of, lanes } = plan;
  const product = productOf(site);
  const invocations = invocationsOf(plan);
  const [height, width] = [plan.rows * plan.m, plan.columns * plan.n];
  const [rows, columns] = [down * height, across * width];
  const [gridX, gridY] = [Math.ceil(product.n / columns), Math.ceil(product.m / rows)];
  const { lane } = builtins(b);
  const batch = ix.unflatten(boundedGroup(site, 'groupZ', sizeOf(product.batch)), product.batch);
  const [subgroup, laneOf] = ix.divmod(ix.atom(lane, invocations - 1), lanes);
  const [groupX, groupY] = [boundedGroup(site, 'groupX', gridX), boundedGroup(site, 'groupY', gridY)];
  const [blockRow, blockColumn] = ix.divmod(subgroup, across);
  const along = alongK(region);
  const tile = (hint: string, block: number, isAlong: boolean) => ({
    array: tileArray(site, hint, block, depth, of),
    stride: strideOf(depth, of),
    block,
    depth,
    alongK: isAlong,
  });
  const left: FragmentTile = {
    ...tile('left_tile', rows, along.left),
    length: product.m,
    first: ix.scale(groupY, rows),
    load: (_, at, k) => product.left(batch, at, k),
  };
  const right: FragmentTile = {
    ...tile('right_tile', columns, along.right),
    length: product.n,
    first: ix.scale(groupX, columns),
    load: (_, at, k) => product.right(batch, k, at),
  };
  const block = zeroBlock(site, {
    shape: plan,
    rows: plan.rows,
    columns: plan.columns,
    row: ix.scale(blockRow, height),
    column: ix.scale(blockColumn, width),
  });
  const isFirst = b.binary('==', ix.expr(groupX), b.u32(0));
  const rowSums = region.sums.length ? zeroSums(site, block, isFirst) : undefined;
  const multiply = () => multiplyTiles(site, block, left, right, rowSums);
  const isDear = product.operands.some((operand) => isComputedDearly(site, operand));
  for (const part of product.parts) overTiles(site, part, { depth, invocations, isDear }, [left, right], multiply);
  const handout: Handout = {
    array: b.sharedArray('handout', down * across * handoutOf(plan, plan.columns), 'vec4f'),
    subgroup,
    lane: laneOf,
  };
  eachFour(site, block, handout, (i, j, four) => {
    const [row, column] = [ix.add(left.first, i), ix.add(right.first, j)];
    if (product.n % 4 === 0) return storeFour(site, batch, [row, product.m], [column, product.n], four);
    range(4).forEach((u) => {
      const at = ix.offset(column, u);
      storeElement(site, batch, [row, product.m], [at, product.n], b.component(four, u));
    });
  });
  if (rowSums)
    eachRowSum(site, block, rowSums, handout, (i, isOne, sum) => {
      const isOwner = b.binary('&&', b.binary('==', ix.expr(blockColumn), b.u32(0)), isOne);
      storeSums(site, () => ix.add(left.first, i()), product.m, isOwner, sum);
    });
  const grid = [gridX, gridY, sizeOf(product.batch)] as const;
  return { workgroupSize: invocations, grid, subgroup: { size: lanes, sized: plan.sized } };
}

/** Operations on an element of an operand from which on they take more registers than are left beside the sums and the fragments. */
const DEAR = 16;

/** Whether an operand is computed of what is in memory by many operations, sines as an example. */
function isComputedDearly({ inline }: Site, operand: Node): boolean {
  const seen = new Set<Node>();
  const work = (node: Node): number => {
    if (seen.has(node) || inline.buffers.has(node) || inline.given.has(node)) return 0;
    seen.add(node);
    const { kind, cost } = opDef(node.op);
    const own = kind === 'pointwise' ? cost([], node.attrs, { dtype: 'f32', shape: [] }).flops : 0;
    return node.inputs.reduce((sum, input) => sum + work(input), own);
  };
  return work(operand) >= DEAR;
}

/**
 * Each round asks for the next tiles, multiplies those that are staged, and stages the next: the last round its own once more. What is
 * computed dearly is asked for when the units are done.
 */
function overTiles(
  site: Site,
  part: Part,
  { depth, invocations, isDear }: { depth: number; invocations: number; isDear: boolean },
  operands: readonly FragmentTile[],
  multiply: () => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const tiles = Math.ceil(part.size / depth);
  const load = (tile: Index, isNew?: Expr) => {
    const loaded = operands.map((operand) =>
      loadFragmentTile(site, operand, { depth, part, tile, isNew }, invocations),
    );
    return () => {
      operands.forEach((operand, i) => stageFragmentTile(site, operand, invocations, loaded[i]));
      b.barrier();
    };
  };
  load(ZERO)();
  b.loop('t', tiles, (t) => {
    const following = ix.offset(ix.atom(t, tiles - 1), 1);
    const isNew = b.binary('<', ix.expr(following), b.u32(tiles));
    const next = () => (tiles > 1 ? load(ix.clamp(following, tiles - 1, 'tile'), isNew) : undefined);
    const asked = isDear ? undefined : next();
    multiply();
    b.barrier();
    (asked ?? next())?.();
  });
}
