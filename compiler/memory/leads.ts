/**
 * Leads: a binding starts at a multiple of what the device asks for, a value that lies among others anywhere. What binds a parameter of a
 * pack, a part of a whole or a window starts somewhat before it, and the kernel adds as many elements to its indices. So few kernels
 * differ by where what they bind lies: only by the rest.
 */
import { byteSize, sizeOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { leadOf, type Part } from '../fusion/concats.ts';
import type { Region } from '../fusion/regions.ts';
import { windowOffset } from '../fusion/windows.ts';
import { placeInPack, type Packed } from '../rewrite/packs.ts';

/** Where values of a graph lie. */
interface Places {
  /** Values written straight into the state that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
  readonly packed: Packed;
  readonly parts: ReadonlyMap<Node, Part>;
  /** Whether a value has memory of its own. */
  readonly isBuffer: (node: Node) => boolean;
}

/** The elements that a region binds before each of its values, of those of which it binds some. */
export const leadsIn =
  ({ homes, packed, parts, isBuffer }: Places) =>
  ({ reads, results, spans }: Region): Map<Node, number> => {
    /** Bytes between a value and where bindings may start: all that is not among others starts there. */
    const offsetOf = (node: Node): number => {
      const part = parts.get(node);
      if (part || isBuffer(node) || opDef(node.op).kind !== 'view') return part?.offset ?? 0;
      return offsetOf(node.inputs[0]) + (windowOffset(node) ?? 0);
    };
    const bytesBefore = (node: Node): number => {
      const place = placeInPack(homes.get(node) ?? node, packed);
      const from = spans.get(node)?.start ?? 0;
      return place?.lead ?? leadOf(offsetOf(node) + from * (byteSize(node.type) / node.type.shape[0]));
    };
    const bound = [...reads, ...results.map(({ node }) => node)];
    const leads = bound.map((node) => {
      return [node, bytesBefore(node) / (byteSize(node.type) / sizeOf(node.type.shape))] as const;
    });
    return new Map(leads.filter(([, lead]) => lead > 0));
  };
