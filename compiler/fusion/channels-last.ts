/**
 * Products over windows on matrix units: the channels of what the windows are of are made neighbours in memory, and the depth walks
 * through all of them for one element of the window before the next. An operand then is runs of as many elements as a load takes, where
 * it was one here and one there; what it takes is a copy of each operand in that order, most often by the kernel that computes it.
 *
 * Before: w[o, (c,h,w)] · windows(x[n,c,y,x])[(c,h,w), (y,x)]      After: w'[o, (h,w,c)] · windows(x'[n,y,x,c])[(h,w,c), (y,x)]
 *
 * Derivatives by weights have these as columns: these are computed in that order, and put back as they are stored.
 */
import { labelOf, nodesOf, rebuild, usersOf, type Graph, type Node } from '../ir/index.ts';
import { Functional, isProduct, opDef, opTable, windowsAlong, type Windows } from '../ops/index.ts';
import { fragmentShapes } from '../plans/fragments.ts';
import { groupOf, isRejected } from '../plans/family.ts';
import { familyOf, planBy } from '../plans/registry.ts';
import type { PlanningContext } from './graph-pass.ts';

/** Elements that a load takes at once: all of one run of channels. */
const RUN = 8;

/** One of the two axes of an operand of a product that joins windows' elements and channels. */
interface Joined {
  readonly operand: 0 | 1;
  readonly of: 'depth' | 'own';
  readonly windows: Windows;
}

export function channelsLast(graph: Graph, context: PlanningContext): Graph {
  const { device, remarks } = context;
  if (!fragmentShapes(device, 'f16').length) return graph;
  const nodes = nodesOf(graph);
  const products = nodes.filter((node) => {
    const plan = isProduct(node) ? planBy(groupOf(node), context) : undefined;
    return plan && !isRejected(plan) && familyOf(plan).wantsRuns;
  });
  const found = new Map(products.flatMap((product) => joinedIn(product) ?? []).map((one) => [one.product, one.joined]));
  if (!found.size) return graph;
  const orders = new Map([...found.values()].map(({ windows }) => [windows.source, windows.sourceOrder]));
  for (const [product, { windows }] of found) {
    const why = `the ${windows.channels} channels of ${labelOf(windows.source)} lie side by side for ${labelOf(product)}`;
    remarks?.applied('channels-last', [product, windows.source], why);
  }
  const readers = readersOf([...orders.keys()], nodes);
  const now = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    node.inputs.forEach((input, i) => now.set(input, inputs[i]));
    const f = new Functional(builder);
    f.like = node;
    const joined = found.get(node);
    if (joined) return inOrder(f, node, inputs, joined);
    const source = readers.get(node);
    return source && builder.apply(node.op, [reordered(f, now.get(source)!, orders.get(source)!)], node.attrs, node);
  });
}

/** The axis of a product's operands along which it joins channels and elements of windows, where that is of runs. */
function joinedIn(product: Node): { product: Node; joined: Joined }[] {
  const all = product.inputs.flatMap((operand, i) => {
    const rank = operand.type.shape.length;
    const side = i as 0 | 1;
    const axes = { depth: side ? rank - 2 : rank - 1, own: side ? rank - 1 : rank - 2 };
    return (['depth', 'own'] as const).flatMap((of): Joined[] => {
      const windows = windowsAlong(operand, axes[of]);
      return windows && windows.channels % RUN === 0 ? [{ operand: side, of, windows }] : [];
    });
  });
  return all.length === 1 ? [{ product, joined: all[0] }] : [];
}

/** The views that read such a value for nothing but products, with it: those may as well read it in another order. */
function readersOf(sources: readonly Node[], nodes: readonly Node[]): Map<Node, Node> {
  const users = usersOf(nodes);
  const feedsProducts = (node: Node): boolean =>
    isProduct(node) ||
    (opDef(node.op).kind === 'view' && users.get(node)!.length > 0 && users.get(node)!.every(feedsProducts));
  return new Map(
    sources.flatMap((source) =>
      users
        .get(source)!
        .filter((user) => user.inputs.length === 1 && feedsProducts(user))
        .map((user): [Node, Node] => [user, source]),
    ),
  );
}

/** A value that lies in memory with its axes in another order. */
function reordered(f: Functional, x: Node, order: readonly number[]): Node {
  const turned = f.permute(x, order);
  const back = order.map((_, axis) => order.indexOf(axis));
  return f.permute(f.op('lay_out', [turned]), back);
}

/** The product with channels last along the axis that joins them. */
function inOrder(
  f: Functional,
  { op, attrs, type }: Node,
  inputs: readonly Node[],
  { operand, of, windows }: Joined,
): Node {
  const axis = (i: number) => {
    const rank = inputs[i].type.shape.length;
    return (of === 'depth') === (i === 0) ? rank - 1 : rank - 2;
  };
  const operands = inputs.map((x, i) => {
    if (i === operand) return joinedInOrder(f, x, axis(i), windows.sizes, windows.order);
    return of === 'own' ? x : f.op('lay_out', [joinedInOrder(f, x, axis(i), windows.sizes, windows.order)]);
  });
  const product = f.op(op, operands, attrs);
  if (of === 'depth') return product;
  const back = windows.order.map((_, i) => windows.order.indexOf(i));
  const sizes = windows.order.map((i) => windows.sizes[i]);
  const rank = type.shape.length;
  return joinedInOrder(f, product, operand === 0 ? rank - 2 : rank - 1, sizes, back);
}

/** A value with what one of its axes joins in another order. */
function joinedInOrder(f: Functional, x: Node, axis: number, sizes: readonly number[], order: readonly number[]): Node {
  const { shape } = x.type;
  const apart = f.reshape(x, [...shape.slice(0, axis), ...sizes, ...shape.slice(axis + 1)]);
  const [before, after] = [[...Array(axis).keys()], [...Array(shape.length - axis - 1).keys()]];
  const perm = [...before, ...order.map((i) => axis + i), ...after.map((i) => axis + sizes.length + i)];
  return f.reshape(f.permute(apart, perm), shape);
}
