/**
 * A product's result may be cut into pieces that go different ways: queries, keys and values, and the hidden values of an MLP beside
 * them; values, and their gates. What a piece goes through, element by element, is done where the product stores it: once, and not at
 * every load of the kernel that reads the piece, nor by a kernel between the two.
 *
 * Before: gelu(y[:, 48:])                               After: z = y where column < 48, else gelu(y); z[:, 48:]
 */
import { labelOf, labelsOf, rebuild, sameShape, type Graph, type Node, type Remarks, type Shape } from '../ir/index.ts';
import { Functional, opDef, opTable } from '../ops/index.ts';
import type { PassContext } from '../rewrite/pass.ts';
import { areApart, stretchOf, type Stretch } from '../rewrite/stretches.ts';
import { copyOf, Flow, isOfLeaves } from './product-values.ts';
import { CHEAP } from './stored.ts';

/** A piece, and the ops that it alone goes through, in order. */
interface Branch extends Stretch {
  readonly slice: Node;
  readonly ops: readonly Node[];
}

export function branches(graph: Graph, { remarks }: PassContext): Graph {
  const flow = new Flow(graph);
  const found = branchesIn(flow);
  if (!found.size) return graph;
  const pieces = new Map<Node, { whole: Node; slice: Node }>();
  for (const [whole, own] of found) {
    for (const slice of flow.users.get(whole)!) pieces.set(slice, { whole, slice });
    for (const { slice, ops } of own) pieces.set(ops.at(-1)!, { whole, slice });
  }
  const branched = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const f = new Functional(builder);
    f.like = node;
    const piece = pieces.get(node);
    if (piece) return f.op('slice', [branched.get(piece.whole)!], piece.slice.attrs);
    const own = found.get(node);
    if (!own) return undefined;
    const made = builder.apply(node.op, inputs, node.attrs, node, node.copy);
    branched.set(
      node,
      own.reduce((rest, branch) => withBranch(f, made, rest, branch), made),
    );
    remarkOn(node, own, remarks);
    return made;
  });
}

function remarkOn(whole: Node, own: readonly Branch[], remarks?: Remarks): void {
  const ends = own.map(({ ops }) => ops.at(-1)!);
  remarks?.applied('branches', [whole, ...ends], `${labelsOf(ends)} are computed where ${labelOf(whole)} is stored`);
}

/** The products' last values that are cut so, with the pieces to which something is done. */
function branchesIn(flow: Flow): Map<Node, readonly Branch[]> {
  const { users, returned } = flow;
  const onlyReader = (node: Node) => (returned.has(node) ? undefined : alone(users.get(node)!));
  const found = new Map<Node, readonly Branch[]>();
  for (const whole of flow.productValues().keys()) {
    const slices = users.get(whole)!;
    const stretches = slices.flatMap((slice) => stretchOf(slice) ?? []);
    if (slices.length < 2 || returned.has(whole) || stretches.length < slices.length || !areApart(stretches)) continue;
    const own = slices.map((slice, i) => ({ ...stretches[i], slice, ops: opsAfter(slice, whole, onlyReader) }));
    const dear = own.filter(({ ops }) => workOf(ops) > CHEAP);
    if (dear.length) found.set(whole, dear);
  }
  return found;
}

const alone = (readers: readonly Node[]): Node | undefined => (readers.length === 1 ? readers[0] : undefined);

/** What a piece alone goes through, with operands that lie in memory before the product is computed. */
function opsAfter(slice: Node, whole: Node, onlyReader: (node: Node) => Node | undefined): Node[] {
  const ops: Node[] = [];
  for (let last = slice, next = onlyReader(last); next; last = next, next = onlyReader(last)) {
    const { op, type, inputs }: Node = next;
    const isAlike = opDef(op).kind === 'pointwise' && sameShape(type.shape, slice.type.shape);
    const isSame = type.dtype === whole.type.dtype || onlyReader(next) !== undefined;
    if (!isAlike || !isSame || !inputs.every((input) => input === last || isOfLeaves(input))) break;
    ops.push(next);
  }
  const end = ops.findLastIndex(({ type }) => type.dtype === whole.type.dtype);
  return ops.slice(0, end + 1);
}

const workOf = (ops: readonly Node[]): number =>
  ops.reduce((sum, { op, attrs, type: { dtype } }) => sum + opDef(op).cost([], attrs, { dtype, shape: [] }).flops, 0);

/** What there is so far of a value, and in a stretch of it what its branch makes of the value. */
function withBranch(f: Functional, whole: Node, rest: Node, branch: Branch): Node {
  const { slice, ops } = branch;
  const { shape } = whole.type;
  const made = new Map([[slice, whole]]);
  const operand = (input: Node) => made.get(input) ?? spread(f, copyOf(f.builder, input), branch, shape);
  for (const node of ops) made.set(node, f.builder.apply(node.op, node.inputs.map(operand), node.attrs, node));
  return choose(f, made.get(ops.at(-1)!)!, rest, branch);
}

/** One value in a stretch, and another in the rest of it. */
export function choose(f: Functional, value: Node, rest: Node, { axis, from, to }: Stretch): Node {
  const { shape } = rest.type;
  const alongAxis = shape.map((n, i) => (i === axis ? n : 1));
  const place = f.iota('u32', alongAxis, axis);
  const at = (n: number) => f.constant(n, 'u32');
  const below = to < shape[axis] ? f.select(f.compare('lt', place, at(to)), value, rest) : value;
  return from > 0 ? f.select(f.compare('ge', place, at(from)), below, rest) : below;
}

/** An operand of a piece as one of the whole: what has elements along the axis lies where the piece does. */
function spread(f: Functional, x: Node, { axis, from, to }: Stretch, whole: Shape): Node {
  const own = axis - (whole.length - x.type.shape.length);
  if (own < 0 || x.type.shape[own] === 1) return x;
  const along = (n: number) => x.type.shape.map((_, i) => (i === own ? n : 0));
  return f.pad(x, along(from), along(whole[axis] - to));
}
