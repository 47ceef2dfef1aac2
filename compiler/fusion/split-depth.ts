/**
 * A product of few elements and a long depth leaves most of a GPU idle: its tiles are fewer than the cores. Its depth is cut in parts, a
 * matrix of a batch each, and their sums are added up by a second kernel, which takes in what follows the product: always in one order.
 */
import { isHardware } from '../device.ts';
import { labelOf, rebuild, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { Functional, isProduct, joinedAxis, opTable } from '../ops/index.ts';
import { groupOf, isRejected } from '../plans/family.ts';
import { familyOf, planBy, type Planner } from '../plans/registry.ts';
import { isPack } from '../rewrite/packs.ts';
import type { PlanningContext } from './graph-pass.ts';

/** Invocations that keep a large GPU busy: 256 for each of some 130 cores, halved, as others run beside. */
const BUSY = 2 ** 14;
/** Elements of an invocation in a tile. */
const EACH = 8 * 8;
/** Steps of a part: fewer are not worth the pass over the sums, unless the plan's family says otherwise. */
const LEAST_DEPTH = 128;
const MOST_PARTS = 8;

export function splitDepth(graph: Graph, { device, plan, remarks }: PlanningContext): Graph {
  // The number of parts depends on the batch, and the order in which sums are added up on that.
  if (!isHardware(device) || device.steady) return graph;
  return rebuild(graph, opTable, (node, [x, y], builder) => {
    const parts = isProduct(node) ? partsOf(node, { device, plan }) : 1;
    if (parts === 1) return undefined;
    const elements = sizeOf(node.type.shape).toLocaleString('en-US');
    const why = `${labelOf(node)} has ${elements} elements: ${parts} parts of its depth are summed up by a second kernel`;
    remarks?.applied('split-depth', [node], why);
    const f = new Functional(builder);
    f.like = node;
    const rank = node.type.shape.length;
    const operands = [inParts(f, x, rank, rank - 1, parts), inParts(f, y, rank, rank - 2, parts)];
    // Its attributes say what it adds up in.
    const product = f.op(node.op, operands, node.attrs);
    return f.reshape(f.sum(product, [0]), node.type.shape);
  });
}

/** In how many parts a product's depth is cut; 1 where that does not pay. */
function partsOf(product: Node, planner: Planner): number {
  const { inputs, type } = product;
  const [x, y] = inputs;
  const depth = x.type.shape.at(-1)!;
  if (type.dtype !== 'f32' || isJoined(x, -1) || isJoined(y, -2)) return 1;
  const plan = planBy(groupOf(product), planner);
  // Families without tiles share the depth among invocations already.
  if (isRejected(plan) || !familyOf(plan).tile) return 1;
  const { leastDepth = LEAST_DEPTH, each = () => EACH } = familyOf(plan);
  const invocations = sizeOf(type.shape) / each(plan);
  if (2 * invocations > BUSY) return 1;
  const fits = (parts: number) => (depth / parts) % 4 === 0 && depth / parts >= leastDepth;
  let parts = 1;
  while (parts * invocations < BUSY && parts < MOST_PARTS && fits(2 * parts)) parts *= 2;
  return parts;
}

/**
 * Whether an operand is of several values side by side along its depth: a kernel walks over those one after the other. What lies in memory
 * as one is cut like any other.
 */
const isJoined = (operand: Node, depth: number): boolean =>
  joinedAxis(operand) === operand.type.shape.length + depth && !isPack(operand);

/** An operand with its depth, one of the axes that it has as a value of so many, in parts: one more axis before all others. */
function inParts(f: Functional, operand: Node, rank: number, axis: number, parts: number): Node {
  const { shape } = operand.type;
  const whole = [...Array<number>(rank - shape.length).fill(1), ...shape];
  const cut = f.reshape(operand, [...whole.slice(0, axis), parts, whole[axis] / parts, ...whole.slice(axis + 1)]);
  const others = Array.from({ length: rank + 1 }, (_, i) => i).filter((i) => i !== axis);
  return f.permute(cut, [axis, ...others]);
}
