/** Immediate post-dominators of a data-flow graph: the first value through which every use of a node passes. */
import { usersOf, type Node } from '../ir/index.ts';

/** `results` leave the graph: nothing post-dominates them. A missing entry means that only the exit does. */
export function postDominators(nodes: readonly Node[], results: ReadonlySet<Node>): Map<Node, Node> {
  const users = usersOf(nodes);
  const ipdom = new Map<Node, Node>();
  // In reverse topological order every user is settled before the node, so one sweep suffices.
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    if (results.has(node)) continue;
    let common: Node | undefined = users.get(node)![0];
    for (const user of users.get(node)!.slice(1)) common = meet(common, user, ipdom);
    if (common) ipdom.set(node, common);
  }
  return ipdom;
}

/** Walks both chains up (to later nodes) until they meet. */
function meet(a: Node | undefined, b: Node | undefined, ipdom: Map<Node, Node>): Node | undefined {
  while (a && b && a !== b) {
    if (a.id < b.id) a = ipdom.get(a);
    else b = ipdom.get(b);
  }
  return a && b ? a : undefined;
}

/** The nodes on the paths from `from` (excluded) to its post-dominator `to` (included), in topological order. */
export function between(from: Node, to: Node, users: Map<Node, Node[]>): Node[] {
  const found = new Set<Node>([to]);
  const stack = [from];
  while (stack.length) {
    for (const user of users.get(stack.pop()!)!) {
      if (found.has(user) || user.id > to.id) continue;
      found.add(user);
      stack.push(user);
    }
  }
  return [...found].sort((a, b) => a.id - b.id);
}
