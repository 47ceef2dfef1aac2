/** What kernels of products can end in, and what passes that move work into these kernels ask of a graph. */
import { nodesOf, results, sameShape, usersOf, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { isBijection, isProduct, opDef } from '../ops/index.ts';
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

export const isNumber = ({ op, type: { shape } }: Node): boolean => op === 'constant' && shape.length === 0;

/** Whether a value is seen in what lies in memory from the start, or is a literal. */
export const isOfLeaves = ({ op, inputs }: Node): boolean =>
  opDef(op).kind === 'leaf' || (opDef(op).kind === 'view' && inputs.every(isOfLeaves));

/** Such a value in another graph, whose nodes come in their turn. */
export const copyOf = (builder: GraphBuilder, node: Node): Node =>
  builder.apply(
    node.op,
    node.inputs.map((input) => copyOf(builder, input)),
    node.attrs,
    node,
  );
