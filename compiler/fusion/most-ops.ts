/** How much a kernel computes in one go: values of long chains and of wide trees are stored on the way. */
import { byteSize, labelOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Choice } from './choice.ts';
import { sliceOf } from './slice.ts';
import { isStored } from './storage.ts';

/**
 * Ops that a kernel takes in, and so many one behind the other: drivers compile in more than linear time, and nothing that models
 * are made of has a hundred.
 */
export const MOST_OPS = 512;
const MOST_DEPTH = MOST_OPS / 2;

/** Adds to the stored values until none is computed from memory by more ops, or by a longer chain. */
export function limitOps({ context, owners, concats, remarks }: Choice, stored: Set<Node>): void {
  const { nodes, maxBytes } = context;
  const depths = new Map<Node, number>();
  // At most so many: what two operands share is counted once only where it matters.
  const sizes = new Map<Node, number>();
  const isInMemory = (node: Node) => stored.has(node) || isStored(node) || concats.has(node);
  const mayStore = (node: Node) => !isInMemory(node) && !owners.has(node) && byteSize(node.type) <= maxBytes;
  const store = (node: Node, why: string) => {
    remarks?.missed('materialize', [node], `${labelOf(node)} ${why}`);
    stored.add(node);
    depths.set(node, 0);
  };
  const size = (node: Node) => (isInMemory(node) ? 0 : sizes.get(node)!);
  const exactly = (node: Node) => sliceOf([node], (other) => other !== node && isInMemory(other)).members.size;
  for (const node of nodes) {
    let ops = node.inputs.reduce((sum, input) => sum + size(input), 1);
    if (ops > MOST_OPS) ops = exactly(node);
    while (ops > MOST_OPS) {
      const [operand] = node.inputs.filter(mayStore).sort((a, b) => size(b) - size(a));
      if (!operand || opDef(operand.op).kind === 'leaf') break;
      store(operand, `is one of ${ops} ops that would be a kernel`);
      ops = exactly(node);
    }
    sizes.set(node, ops);
    const depth = Math.max(0, ...node.inputs.map((input) => depths.get(input)!)) + 1;
    depths.set(node, isInMemory(node) ? 0 : depth);
    if (depth > MOST_DEPTH && mayStore(node)) store(node, `comes after ${depth} others in a row`);
  }
}
