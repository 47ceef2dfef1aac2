/** What a kernel computes and what it reads, found from what it gives. */
import type { Node } from '../ir/index.ts';
import { resultsOf, type Draft } from './regions.ts';
import { isStored } from './storage.ts';
import { withParts, type Wholes } from './wholes.ts';

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

/** Values that a draft reads from memory. */
export const readsOf = (draft: Draft, buffers: ReadonlySet<Node>): ReadonlySet<Node> => walk(draft, buffers).reads;

/** What a draft computes. */
export const membersOf = (draft: Draft, buffers: ReadonlySet<Node>): ReadonlySet<Node> => walk(draft, buffers).members;

/** Which copies of what is computed twice a draft has a part of. */
export const copiesIn = (draft: Draft, buffers: ReadonlySet<Node>): Set<unknown> =>
  new Set([...membersOf(draft, buffers)].flatMap(({ copy }) => copy ?? []));

/** What a draft reads from memory and what it computes. */
function walk(draft: Draft, buffers: ReadonlySet<Node>): Inside {
  const own = new Set(resultsOf(draft).map(({ node }) => node));
  return insideOf(own, (node) => isStored(node) || (buffers.has(node) && !own.has(node)));
}

/** The values that must be in memory: results of the graph, and what a kernel reads of another. */
export function writtenBy(
  drafts: readonly Draft[],
  { buffers, wholes, returned }: { buffers: ReadonlySet<Node>; wholes: Wholes; returned: ReadonlySet<Node> },
): Set<Node> {
  const read = new Set(drafts.flatMap((draft) => [...withParts(readsOf(draft, buffers), wholes)]));
  const made = drafts.flatMap((draft) => resultsOf(draft).map(({ node }) => node));
  return new Set([...made, ...wholes.keys()].filter((node) => returned.has(node) || read.has(node)));
}
