/** What a kernel computes and what it reads, found from what it gives. */
import type { Node } from '../ir/index.ts';

/** Both in order of first use. */
export interface Inside {
  readonly reads: ReadonlySet<Node>;
  readonly members: ReadonlySet<Node>;
}

/** All that values are computed from, back to what is read from memory. `inputsOf`: what a member is computed from. */
export function insideOf(
  values: Iterable<Node>,
  isRead: (node: Node) => boolean,
  inputsOf = (node: Node): readonly Node[] => node.inputs,
): Inside {
  const reads = new Set<Node>();
  const members = new Set<Node>();
  // A stack of its own: chains are longer than the language's.
  const stack = [...values].reverse();
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (reads.has(node) || members.has(node)) continue;
    if (isRead(node)) reads.add(node);
    else {
      members.add(node);
      stack.push(...[...inputsOf(node)].reverse());
    }
  }
  return { reads, members };
}
