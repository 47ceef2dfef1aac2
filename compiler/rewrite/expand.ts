/** Composite ops that no rule has used become the smaller ops they stand for, and so do anchors that are `chosen`. */
import { nodesOf, rebuild, results, usersOf, type Graph, type Node, type Update } from '../ir/index.ts';
import { Functional, opDef, opTable, writesSlice } from '../ops/index.ts';

export function expand(graph: Graph, chosen: (anchor: Node) => boolean = () => false): Graph {
  const isAnchor = (node: Node) => opDef(node.op).kind === 'contract';
  // Anchors first: what they stand for is composite in part.
  const plain = expandWhere(graph, (node) => isAnchor(node) && chosen(node));
  const kept = writesOfState(plain);
  return expandWhere(plain, (node) => !isAnchor(node) && !kept.has(node));
}

/** Writes of a slice that may leave the rest of a state where it lies: nobody else wants what was there before. */
function writesOfState(graph: Graph): Set<Node> {
  const users = usersOf(nodesOf(graph));
  const shown = new Set(results(graph));
  const isAlone = ({ state, node }: Update) => {
    const [value, start, x] = node.inputs;
    const isRead = users.get(state)!.length > 1 || value === state || start === state;
    return state.op === 'state' && x === state && !isRead && !shown.has(state);
  };
  return new Set(graph.updates.filter((update) => writesSlice(update.node) && isAlone(update)).map(({ node }) => node));
}

/** Some of what is kept, as smaller ops after all. */
export const expandAll = (graph: Graph, nodes: ReadonlySet<Node>): Graph =>
  expandWhere(graph, (node) => nodes.has(node));

function expandWhere(graph: Graph, wanted: (node: Node) => boolean): Graph {
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const def = opDef(node.op);
    if (!def.expand || !wanted(node)) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return def.expand(f, inputs, node.attrs, node.type);
  });
}
