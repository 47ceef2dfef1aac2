/** What passes that move work into the kernels of products ask of a graph: what such a kernel can end in, and who reads a value in the end. */
import { nodesOf, results, sameShape, usersOf, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { isBijection, isProduct, keepsOrder, opDef } from '../ops/index.ts';
import { between, postDominators } from './dominance.ts';

/** A value that a product's kernel makes of the product, through views that keep all of it. */
export interface ProductValue {
  readonly product: Node;
  readonly views: readonly Node[];
}

/** A graph, and where its values go. */
export class Flow {
  readonly nodes: readonly Node[];
  readonly users: ReadonlyMap<Node, readonly Node[]>;
  readonly returned: ReadonlySet<Node>;
  private readonly ipdom: Map<Node, Node>;

  constructor(graph: Graph) {
    this.nodes = nodesOf(graph);
    this.users = usersOf(this.nodes);
    this.returned = new Set(results(graph));
    this.ipdom = postDominators(this.nodes, this.returned);
  }

  /** The next value through which all that is made of a value passes, and all on the way to it; undefined where there is none. */
  stepFrom(node: Node): { readonly next: Node; readonly path: readonly Node[] } | undefined {
    const next = this.ipdom.get(node);
    return next && { next, path: between(node, next, this.users as Map<Node, Node[]>) };
  }

  /** Products, and what is made of each by pointwise ops and views that keep all of it, whatever else reads the last of them. */
  productValues(): Map<Node, ProductValue> {
    const found = new Map<Node, ProductValue>();
    for (const product of this.nodes.filter(isProduct)) {
      let views: readonly Node[] = [];
      for (let last: Node | undefined = product; last; last = this.after(last)) {
        if (isBijection(last)) views = [...views, last];
        found.set(last, { product, views });
      }
    }
    return found;
  }

  private after(value: Node): Node | undefined {
    const { next, path } = this.stepFrom(value) ?? {};
    const isAlike = (node: Node) => opDef(node.op).kind === 'pointwise' && sameShape(node.type.shape, value.type.shape);
    return next && ((path!.length === 1 && isBijection(next)) || path!.every(isAlike)) ? next : undefined;
  }
}

/**
 * The one contraction that reads what is made of values, and all values on the way to it: pointwise ops, views, and what `isOnTheWay` besides.
 * Undefined where others read one of these, or one leaves the graph.
 */
export function onlyReader(
  of: readonly Node[],
  { users, returned }: Pick<Flow, 'users' | 'returned'>,
  isOnTheWay: (node: Node) => boolean,
): { readonly reader: Node; readonly values: ReadonlySet<Node> } | undefined {
  const values = new Set(of);
  const readers = new Set<Node>();
  for (const node of values) {
    if (returned.has(node)) return undefined;
    for (const user of users.get(node)!) {
      const { kind } = opDef(user.op);
      if (kind === 'contract') readers.add(user);
      else if (kind === 'pointwise' || kind === 'view' || isOnTheWay(user)) values.add(user);
      else return undefined;
    }
  }
  const [reader, ...others] = readers;
  return reader && !others.length ? { reader, values } : undefined;
}

/** A value before the reshapes that it is seen through: the same elements in the same order. */
export function unshaped(node: Node): Node {
  let whole = node;
  while (keepsOrder(whole)) [whole] = whole.inputs;
  return whole;
}

export const isNumber = ({ op, type: { shape } }: Node): boolean => op === 'constant' && shape.length === 0;

/** Whether a value is seen in what lies in memory from the start, or is a literal. */
export const isOfLeaves = ({ op, inputs }: Node): boolean =>
  opDef(op).kind === 'leaf' || (opDef(op).kind === 'view' && inputs.every(isOfLeaves));

/** A view of leaves, or a literal, built again by the builder of another graph. */
export const copyOf = (builder: GraphBuilder, node: Node): Node =>
  builder.apply(
    node.op,
    node.inputs.map((input) => copyOf(builder, input)),
    node.attrs,
    node,
  );
