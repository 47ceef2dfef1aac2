/**
 * Parts of one whole that a kernel writes: bound one by one, each with what leads to it, they would lie over each other, which WebGPU
 * refuses of what is written. They are bound as one buffer, from the first to the last.
 */
import { byteSize, sizeOf, type Node } from '../ir/index.ts';
import { leadOf, type Part } from '../fusion/concats.ts';
import type { BoundParts, Region } from '../fusion/regions.ts';

export function stretchesOf({ results }: Region, parts: ReadonlyMap<Node, Part>): BoundParts[] {
  const written = new Map<Node, Placed[]>();
  for (const { node } of results) {
    const part = parts.get(node);
    if (part) written.set(part.whole, [...(written.get(part.whole) ?? []), placed(node, part)]);
  }
  return [...written.values()].flatMap((of) => {
    const inOrder = of.sort((a, b) => a.start - b.start);
    return areOver(inOrder) ? [boundTogether(inOrder)] : [];
  });
}

/** A value, and the bytes of the whole that it takes. */
interface Placed {
  readonly node: Node;
  readonly start: number;
  readonly end: number;
}

const placed = (node: Node, { offset }: Part): Placed => ({ node, start: offset, end: offset + byteSize(node.type) });

const bindsFrom = ({ start }: Placed): number => start - leadOf(start);

const areOver = (inOrder: readonly Placed[]): boolean =>
  inOrder.some((part, i) => i > 0 && bindsFrom(part) < inOrder[i - 1].end);

function boundTogether(inOrder: readonly Placed[]): BoundParts {
  const [first] = inOrder;
  const { node, start } = first;
  const width = byteSize(node.type) / sizeOf(node.type.shape);
  const elementsTo = (byte: number) => (byte - bindsFrom(first)) / width;
  return {
    first: node,
    lead: leadOf(start),
    parts: new Map(inOrder.map((part) => [part.node, { offset: elementsTo(part.start) }])),
    elements: elementsTo(inOrder.at(-1)!.end),
    isWritten: true,
  };
}
