/**
 * The pass that computes the derivatives which entries ask for. It runs after the rules, so the backward pass is that of the
 * recognised graph: of attention as one value, not of the products and the softmax that the model wrote.
 */
import { DitcError, nodesOf, rebuild, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { Functional, inBodies, opTable } from '../ops/index.ts';
import { gradients } from './reverse.ts';

/** Leaves that are the same before and after any rewriting: a derivative with respect to another value could lose its path. */
const VARIABLES = new Set(['param', 'state', 'input']);

/** Replaces each `gradient` by the value; a derivative of a derivative sees the first one in place. `detach` has done its duty. */
export function resolveGradients(graph: Graph): Graph {
  return dropDetach(resolveRequests(graph));
}

/** Those in the bodies of loops first: what is asked for around them is a derivative of these. */
function resolveRequests(whole: Graph): Graph {
  const graph = inBodies(whole, resolveRequests);
  const requests = new Map<Node, Node[]>();
  for (const node of nodesOf(graph)) {
    if (node.op !== 'gradient') continue;
    const [loss, x] = node.inputs;
    if (!VARIABLES.has(x.op)) throw notAVariable(node, x);
    requests.set(loss, [...(requests.get(loss) ?? []), x]);
  }
  return requests.size ? resolve(graph, requests) : graph;
}

function resolve(graph: Graph, requests: ReadonlyMap<Node, readonly Node[]>): Graph {
  const variables = new Map<Node, Node>();
  const made = new Map<Node, Map<Node, Node>>();
  const variableIn = (builder: GraphBuilder, x: Node) => {
    const mapped = variables.get(x) ?? builder.apply(x.op, [], x.attrs, x);
    variables.set(x, mapped);
    return mapped;
  };
  return rebuild(graph, opTable, (node, [loss], builder) => {
    if (node.op !== 'gradient') return undefined;
    const [asked, x] = node.inputs;
    if (!made.has(asked)) {
      const wanted = requests.get(asked)!;
      const values = gradients(
        new Functional(builder),
        loss,
        wanted.map((w) => variableIn(builder, w)),
      );
      made.set(asked, new Map(wanted.map((w, i) => [w, values[i]])));
    }
    return made.get(asked)!.get(x);
  });
}

function dropDetach(whole: Graph): Graph {
  const graph = inBodies(whole, dropDetach);
  return nodesOf(graph).some(({ op }) => op === 'detach')
    ? rebuild(graph, opTable, (node, [x]) => (node.op === 'detach' ? x : undefined))
    : graph;
}

function notAVariable(node: Node, x: Node): DitcError {
  const what = `gradient: ${x.name ?? x.op} is not a parameter, a state or an input`;
  return new DitcError({ code: 'gradient', where: node.loc, what, fix: 'differentiate with respect to one of those' });
}
