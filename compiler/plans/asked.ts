/**
 * Reductions of what counts only under a condition that rows beside each other have in common: it is asked first, and what does not count
 * is not loaded. So is what a table's gradient adds up: each of its rows asks every index whether it is meant.
 */
import type { Node } from '../ir/index.ts';
import { countedWhere, type Counted } from '../ops/index.ts';
import { broadcastIndex } from '../kernel/inline.ts';
import type { Index } from '../kernel/index-map.ts';
import type { Site } from './common.ts';

/** What a reduction of neighbouring rows counts, and where; undefined where that is not the same for all of them. */
export function askedFirst({ inline }: Site, reduction: Node): Counted | undefined {
  const counted = countedWhere(reduction);
  const isComputed = !inline.buffers.has(reduction.inputs[0]) && !inline.given.has(reduction.inputs[0]);
  return isComputed && (counted?.condition.type.shape.at(-1) ?? 1) === 1 ? counted : undefined;
}

/** Calls `body` where an element counts, with it as it is there: what is read at that stays under the condition. */
export function whereCounted(
  { b, inline }: Site,
  { condition }: Counted,
  at: (e: Index) => readonly Index[],
  element: () => Index,
  body: (e: Index) => void,
): void {
  const holds = inline.value(condition, broadcastIndex(at(element()), condition.type.shape));
  b.when(holds, () => body(element()));
}
