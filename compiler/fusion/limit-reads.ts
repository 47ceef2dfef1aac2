/** How much a kernel reads: values are stored on the way until no kernel reads more buffers than the device binds. */
import { byteSize, labelOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { tooManyBuffers } from '../device.ts';
import type { Choice } from './choice.ts';
import { isStored } from './storage.ts';

/** Stores more values until no kernel reads more buffers than the device binds. */
export function limitReads({ context, owners, concats, remarks }: Choice, stored: Set<Node>): void {
  const { nodes, maxReads } = context;
  const leaves = new Map<Node, Set<Node>>();
  const byLeaves = (a: Node, b: Node) => leaves.get(b)!.size - leaves.get(a)!.size;
  for (const node of nodes) {
    if (concats.has(node)) continue;
    let reads = new Set<Node>();
    for (const input of node.inputs) {
      if (stored.has(input) || isStored(input)) reads.add(input);
      else for (const leaf of leaves.get(input)!) reads.add(leaf);
    }
    if (reads.size > maxReads) {
      // The operand with most reads becomes a buffer: one read instead of many. Its own operands, where it is in this kernel.
      const isOpen = (n: Node) => !stored.has(n) && !isStored(n);
      const inside = insideOf(node, (n) => isOpen(n) && owners.has(n));
      const mayStore = (n: Node) => isOpen(n) && !owners.has(n) && ['pointwise', 'view'].includes(opDef(n.op).kind);
      for (const behind of inside.flatMap((n) => n.inputs.filter(isOpen).sort(byLeaves))) {
        // What reads one buffer would only trade it for another.
        if (!mayStore(behind) || leaves.get(behind)!.size < 2) continue;
        const operand = smallestOf(behind, mayStore);
        remarks?.missed(
          'materialize',
          [operand, node],
          tooManyBuffers(reads.size, maxReads, `with ${labelOf(operand)}`),
        );
        stored.add(operand);
        reads = memoryBehind(node, (n) => !isOpen(n));
        if (reads.size <= maxReads) break;
      }
    }
    leaves.set(node, reads);
  }
}

/** What a value is a view of, where that takes no more memory: a picture rather than its windows. */
function smallestOf(node: Node, mayStore: (node: Node) => boolean): Node {
  const [x, ...others] = node.inputs;
  const isView = opDef(node.op).kind === 'view' && !others.length;
  return isView && mayStore(x) && byteSize(x.type) <= byteSize(node.type) ? smallestOf(x, mayStore) : node;
}

/** What is read from memory to compute a value. */
function memoryBehind(node: Node, isInMemory: (node: Node) => boolean): Set<Node> {
  const inside = insideOf(node, (n) => !isInMemory(n));
  return new Set(inside.flatMap(({ inputs }) => inputs.filter(isInMemory)));
}

/** A value and those behind it that a kernel computes too, the nearest first. */
function insideOf(node: Node, isInside: (node: Node) => boolean): Node[] {
  const inside = new Set([node]);
  for (const member of inside) for (const input of member.inputs) if (isInside(input)) inside.add(input);
  return [...inside];
}
