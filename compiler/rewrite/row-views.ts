/**
 * Views that move whole rows (windows, shifts, transposed axes) between a norm and a product go before the norm: it is then of the
 * rows that the product reads, and the product's kernel computes it (fusion/passes/fuse-row-statistics.ts).
 *
 * Before: linear(window(layer_norm(x) · w), …)           After: linear(layer_norm(window(x)) · w, …)
 */
import { nodesOf, rebuild, results, sizeOf, usersOf, type Graph, type Node } from '../ir/index.ts';
import { coneOf, lastOf, reducesRows } from './row-cones.ts';
import { attrList, Functional, joinedAxis, keepsOrder, multipliesRows, opDef, opTable } from '../ops/index.ts';

export function rowViews(graph: Graph): Graph {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const tops = new Map(nodes.filter(multipliesRows).flatMap(({ inputs: [left] }) => topOf(left) ?? []));
  const cones = new Map(
    [...tops].flatMap(([top, { views, source }]) => {
      const isInside = (node: Node) => !returned.has(node) && users.get(node)!.every((user) => views.has(user));
      if (![...views].every((view) => view === top || isInside(view))) return [];
      const cone = coneOf(source, views, (node) => !returned.has(node), users);
      return cone && [...cone].some(reducesRows) ? [[top, { views, source, cone }] as const] : [];
    }),
  );
  const now = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    node.inputs.forEach((input, i) => now.set(input, inputs[i]));
    const moved = cones.get(node);
    if (!moved) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return new Mover(f, node, moved, now).rows(moved.source);
  });
}

/** Views, and the one value that they are of. */
interface Views {
  readonly views: ReadonlySet<Node>;
  readonly source: Node;
}

/** The views behind a product's left operand, if some of them changes the order of rows. */
function topOf(left: Node): [top: Node, Views][] | undefined {
  const views = new Set<Node>();
  const sources = new Set<Node>();
  const stack = [left];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (views.has(node)) continue;
    if (movesRows(node)) {
      views.add(node);
      stack.push(...node.inputs);
    } else sources.add(node);
  }
  const [source, ...others] = sources;
  const isMoved = [...views].some((view) => !keepsOrder(view)) && sizeOf(left.type.shape) <= sizeOf(source.type.shape);
  return isMoved && !others.length ? [[left, { views, source }]] : undefined;
}

/** Whether a view leaves the last axis whole and in order. */
function movesRows(view: Node): boolean {
  const { op, attrs, inputs, type } = view;
  const last = type.shape.length - 1;
  if (keepsOrder(view)) return lastOf(view) === lastOf(inputs[0]);
  if (op === 'permute') return attrList(attrs, 'perm')[last] === last;
  const joined = joinedAxis(view);
  if (joined !== undefined) return joined !== last;
  return op === 'slice' && attrList(attrs, 'size')[last] === lastOf(inputs[0]) && attrList(attrs, 'step')[last] === 1;
}

/** Computes rows where the views put them. */
class Mover {
  private readonly made = new Map<Node, Node>();

  constructor(
    private readonly f: Functional,
    private readonly top: Node,
    private readonly moved: Views & { readonly cone: ReadonlySet<Node> },
    private readonly now: ReadonlyMap<Node, Node>,
  ) {}

  rows(node: Node): Node {
    const known = this.made.get(node);
    if (known) return known;
    const made = this.moved.cone.has(node) ? this.computed(node) : this.seen(this.now.get(node)!, node.type.shape);
    this.made.set(node, made);
    return made;
  }

  private computed(node: Node): Node {
    const { op, attrs, inputs, type } = node;
    if (opDef(op).kind !== 'pointwise') {
      const x = this.rows(inputs[0]);
      return this.f.op(op, [x], 'axes' in attrs ? { ...attrs, axes: [x.type.shape.length - 1] } : attrs);
    }
    const operands = inputs.map((input) => this.operand(input, type.shape));
    return this.f.op(op, operands, attrs);
  }

  /** An operand of a value of that shape: what is one for all rows is so wherever they are. */
  private operand(input: Node, shape: readonly number[]): Node {
    const own = input.type.shape;
    const leading = shape.slice(0, -1);
    if (sizeOf(own.slice(0, -1)) === 1) return this.f.reshape(this.now.get(input)!, own.slice(-1));
    if (own.length === shape.length && leading.every((n, axis) => n === own[axis])) return this.rows(input);
    const full = [...leading, own[own.length - 1]];
    return this.seen(this.f.broadcast(this.now.get(input)!, full), full);
  }

  /** A value through the views, whatever the length of its rows. */
  private seen(x: Node, { length }: readonly number[]): Node {
    const last = x.type.shape[length - 1];
    const through = new Map([[this.moved.source, x]]);
    const view = (node: Node): Node => {
      const known = through.get(node);
      if (known) return known;
      const made = this.f.op(node.op, node.inputs.map(view), withLast(node, last));
      through.set(node, made);
      return made;
    };
    return view(this.top);
  }
}

/** Attributes of a view that leaves rows whole, for rows of another length. */
function withLast({ attrs, type }: Node, length: number): Node['attrs'] {
  const last = type.shape.length - 1;
  const changed = ['shape', 'size'].filter((name) => name in attrs);
  return { ...attrs, ...Object.fromEntries(changed.map((name) => [name, attrList(attrs, name).with(last, length)])) };
}
