/**
 * A product's result may be cut into pieces that go different ways: queries, keys and values, and the hidden values of an MLP beside
 * them; values, and their gates. What a piece goes through, element by element, is done where the product stores it: once, and not at
 * every load of the kernel that reads the piece, nor by a kernel between the two.
 *
 * Before: gelu(y[:, 48:])                               After: z = y where column < 48, else gelu(y); z[:, 48:]
 */
import {
  labelOf,
  labelsOf,
  nodesOf,
  rebuild,
  results,
  sameShape,
  usersOf,
  type Graph,
  type Node,
  type Remarks,
  type Shape,
} from '../ir/index.ts';
import { Functional, isBijection, isProduct, opDef, opTable } from '../ops/index.ts';
import type { PassContext } from '../rewrite/pass.ts';
import { areApart, stretchOf, type Stretch } from '../rewrite/stretches.ts';
import { CHEAP } from './stored.ts';

/** A piece, and the ops that it alone goes through, in order. */
interface Branch extends Stretch {
  readonly slice: Node;
  readonly ops: readonly Node[];
}

export function branches(graph: Graph, { remarks }: PassContext): Graph {
  const users = usersOf(nodesOf(graph));
  const found = branchesIn(graph, users);
  if (!found.size) return graph;
  const slices = new Map(
    [...found.keys()].flatMap((whole) => users.get(whole)!.map((slice) => [slice, { whole, slice }])),
  );
  for (const [whole, own] of found) for (const { slice, ops } of own) slices.set(ops.at(-1)!, { whole, slice });
  const now = new Map<Node, Node>();
  const branched = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const f = new Functional(builder);
    f.like = node;
    const piece = slices.get(node);
    const made = piece
      ? f.op('slice', [branched.get(piece.whole)!], piece.slice.attrs)
      : builder.apply(node.op, inputs, node.attrs, node, node.copy);
    now.set(node, made);
    const own = found.get(node) ?? [];
    branched.set(
      node,
      own.reduce((rest, branch) => withBranch(f, made, rest, branch, now), made),
    );
    if (own.length) remarkOn(node, own, remarks);
    return made;
  });
}

function remarkOn(whole: Node, own: readonly Branch[], remarks?: Remarks): void {
  const ends = own.map(({ ops }) => ops.at(-1)!);
  remarks?.applied('branches', [whole, ...ends], `${labelsOf(ends)} are computed where ${labelOf(whole)} is stored`);
}

/** The products' last values that are cut so, with the pieces to which something is done. */
function branchesIn(graph: Graph, users: ReadonlyMap<Node, readonly Node[]>): Map<Node, readonly Branch[]> {
  const returned = new Set(results(graph));
  const onlyReader = (node: Node) => (returned.has(node) ? undefined : alone(users.get(node)!));
  const found = new Map<Node, readonly Branch[]>();
  for (const [whole, slices] of users) {
    if (slices.length < 2 || returned.has(whole) || !endsProduct(whole, (node) => onlyReader(node) !== undefined))
      continue;
    const stretches = slices.flatMap((slice) => stretchOf(slice) ?? []);
    if (stretches.length < slices.length || !areApart(stretches)) continue;
    const own = slices.map((slice, i) => ({ ...stretches[i], slice, ops: opsAfter(slice, whole, onlyReader) }));
    const dear = own.filter(({ ops }) => workOf(ops) > CHEAP);
    if (dear.length) found.set(whole, dear);
  }
  return found;
}

const alone = (readers: readonly Node[]): Node | undefined => (readers.length === 1 ? readers[0] : undefined);

/** Whether a value is a product, or what one kernel makes of it: element by element, and by views that keep all of it. */
function endsProduct(value: Node, isReadOnce: (node: Node) => boolean): boolean {
  for (let node: Node | undefined = value; node;) {
    if (isProduct(node)) return true;
    const { inputs, op, type }: Node = node;
    const follows = (input: Node) => isReadOnce(input) && sameShape(input.type.shape, type.shape);
    if (isBijection(node)) node = isReadOnce(inputs[0]) ? inputs[0] : undefined;
    else node = opDef(op).kind === 'pointwise' ? inputs.find(follows) : undefined;
  }
  return false;
}

/** What a piece alone goes through, with operands that lie in memory before the product is computed. */
function opsAfter(slice: Node, whole: Node, onlyReader: (node: Node) => Node | undefined): Node[] {
  const ops: Node[] = [];
  const isThere = (input: Node) => isNumber(input) || (input.id < whole.id && isOfLeaves(input));
  for (let last = slice, next = onlyReader(last); next; last = next, next = onlyReader(last)) {
    const { op, type, inputs }: Node = next;
    const isAlike = opDef(op).kind === 'pointwise' && sameShape(type.shape, slice.type.shape);
    const isSame = type.dtype === whole.type.dtype || onlyReader(next) !== undefined;
    if (!isAlike || !isSame || !inputs.every((input) => input === last || isThere(input))) break;
    ops.push(next);
  }
  const end = ops.findLastIndex(({ type }) => type.dtype === whole.type.dtype);
  return ops.slice(0, end + 1);
}

/** Whether a value is seen in what lies in memory from the start. */
const isOfLeaves = ({ op, inputs }: Node): boolean =>
  opDef(op).kind === 'leaf' || (opDef(op).kind === 'view' && inputs.every(isOfLeaves));

const isNumber = ({ op, type: { shape } }: Node): boolean => op === 'constant' && shape.length === 0;

const workOf = (ops: readonly Node[]): number =>
  ops.reduce((sum, { op, attrs, type: { dtype } }) => sum + opDef(op).cost([], attrs, { dtype, shape: [] }).flops, 0);

/** What there is so far of a value, and in a stretch of it what its branch makes of the value. */
function withBranch(f: Functional, whole: Node, rest: Node, branch: Branch, now: ReadonlyMap<Node, Node>): Node {
  const { slice, ops, axis, from, to } = branch;
  const { shape } = whole.type;
  const made = new Map([[slice, whole]]);
  const operand = (input: Node) =>
    made.get(input) ?? spread(f, isNumber(input) ? f.op(input.op, [], input.attrs) : now.get(input)!, branch, shape);
  for (const node of ops) made.set(node, f.builder.apply(node.op, node.inputs.map(operand), node.attrs, node));
  const value = made.get(ops.at(-1)!)!;
  const place = f.iota(
    'u32',
    shape.map((n, i) => (i === axis ? n : 1)),
    axis,
  );
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
