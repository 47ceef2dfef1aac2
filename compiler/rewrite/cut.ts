/**
 * Rows of a product are products of rows. A product that is read only in parts, each on its way into state of its own, is
 * computed part by part: the kernel of a part updates its state at once, and the whole is never in memory. So are sums. Where
 * linears were merged (rules/linear.rules), each weight so has its gradient to itself again.
 *
 * Before: slice(dyᵀ · x) {rows}                  After: slice(dy)ᵀ · x {columns}
 */
import {
  nodesOf,
  rebuild,
  results,
  sameShape,
  sizeOf,
  usersOf,
  type Graph,
  type Node,
  type Shape,
} from '../ir/index.ts';
import { attrList, Functional, opDef, opTable, isBijection, isProduct, keepsOrder } from '../ops/index.ts';
import { acrossReshape, stretchOf, type Stretch } from './stretches.ts';

export function cut(graph: Graph): Graph {
  const users = usersOf(nodesOf(graph));
  const returned = new Set(results(graph));
  /** A product or a sum, or a view of one that nobody else reads. */
  const isComputed = (node: Node): boolean => {
    if (returned.has(node)) return false;
    if (isProduct(node) || opDef(node.op).kind === 'reduce') return true;
    return isBijection(node) && users.get(node.inputs[0])!.length === 1 && isComputed(node.inputs[0]);
  };
  const isOfState = leadsToState(graph, users);
  const isCut = (whole: Node): boolean => {
    const parts = users.get(whole)!;
    const size = parts.reduce((sum, { type }) => sum + sizeOf(type.shape), 0);
    // Parts that overlap would be computed twice.
    return size <= sizeOf(whole.type.shape) && parts.every((part) => stretchOf(part) && isOfState(part));
  };
  return rebuild(graph, opTable, (node, [x], builder) => {
    const stretch = stretchOf(node);
    const [whole] = node.inputs;
    if (!stretch || !isComputed(whole) || !isCut(whole)) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return throughViews(f, x, stretch, computed);
  });
}

/** Whether a value is, element by element, on its way into state. */
function leadsToState(graph: Graph, users: ReadonlyMap<Node, readonly Node[]>): (node: Node) => boolean {
  const known = new Map(graph.updates.map(({ node }) => [node, true]));
  const leads = (node: Node): boolean => {
    const found = known.get(node) ?? users.get(node)!.some((user) => isAlike(user, node) && leads(user));
    known.set(node, found);
    return found;
  };
  return leads;
}

const isAlike = (user: Node, node: Node): boolean =>
  opDef(user.op).kind === 'pointwise' && sameShape(user.type.shape, node.type.shape);

/** A stretch of a value, made of a stretch of what the value is a view of. */
function throughViews(f: Functional, node: Node, stretch: Stretch, make: typeof sliced): Node {
  const { op, inputs, attrs, type } = node;
  const [x] = inputs;
  if (op === 'permute') {
    const perm = attrList(attrs, 'perm');
    return f.permute(throughViews(f, x, { ...stretch, axis: perm[stretch.axis] }, make), perm);
  }
  const before = keepsOrder(node) ? acrossReshape(type.shape, x.type.shape, stretch) : undefined;
  return before ? f.reshape(throughViews(f, x, before, make), shapeOf(node, stretch)) : make(f, node, stretch);
}

function sliced(f: Functional, node: Node, stretch: Stretch): Node {
  const shape = shapeOf(node, stretch);
  const start = shape.map((_, axis) => (axis === stretch.axis ? stretch.from : 0));
  return f.slice(node, start, shape);
}

/** A stretch of a product's rows, or of a sum, computed of that stretch of the operand. */
function computed(f: Functional, node: Node, stretch: Stretch): Node {
  const { op, inputs, attrs } = node;
  const [x, y] = inputs;
  const operand = () => throughViews(f, x, stretch, sliced);
  if (opDef(op).kind === 'reduce') return f.op(op, [operand()], attrs);
  const isOfRows = isProduct(node) && stretch.axis === x.type.shape.length - 2 && sameRank(node, x);
  return isOfRows ? f.op(op, [operand(), y], attrs) : sliced(f, node, stretch);
}

const sameRank = (a: Node, b: Node): boolean => a.type.shape.length === b.type.shape.length;

const shapeOf = ({ type: { shape } }: Node, { axis, from, to }: Stretch): Shape => shape.with(axis, to - from);
