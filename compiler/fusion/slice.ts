/** The backward slice of values: what a kernel computes and what it reads, found from what it gives. */
import type { Node } from '../ir/index.ts';
import type { FusionGroup } from './group.ts';
import { isStored } from './storage.ts';

/** Both in order of first use. */
export interface Slice {
  readonly reads: ReadonlySet<Node>;
  readonly members: ReadonlySet<Node>;
}

/** All that values are computed from, back to what is read from memory. `inputsOf`: what a member is computed from. */
export function sliceOf(
  values: Iterable<Node>,
  isRead: (node: Node) => boolean,
  inputsOf = (node: Node): readonly Node[] => node.inputs,
): Slice {
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

/** Values that a group reads from memory. `stored`: what kernels leave there. */
export const readsOf = (group: FusionGroup, stored: ReadonlySet<Node>): ReadonlySet<Node> =>
  partsOf(group, stored).reads;

/** What a group computes. */
export const membersOf = (group: FusionGroup, stored: ReadonlySet<Node>): ReadonlySet<Node> =>
  partsOf(group, stored).members;

/** Which copies of what is computed twice a group has a part of. */
export const copiesIn = (group: FusionGroup, stored: ReadonlySet<Node>): Set<unknown> =>
  new Set([...membersOf(group, stored)].flatMap(({ copy }) => copy ?? []));

/** Both. */
export function partsOf({ results }: FusionGroup, stored: ReadonlySet<Node>): Slice {
  const own = new Set(results.map(({ node }) => node));
  return sliceOf(own, (node) => isStored(node) || (stored.has(node) && !own.has(node)));
}
