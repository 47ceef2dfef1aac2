/** Results that show a part of what a kernel computes, as a transposed convolution without its border does: the rest is not stored. */
import type { Node } from '../ir/index.ts';
import { boxOf } from '../ops/index.ts';
import { keyOf, maxOf, type Index } from './index-map.ts';
import { forwardIndex, type Inliner, type Test } from './inline.ts';

/** Calls `store` where views show the element at an index of the first one's operand. */
export function whereShown(inline: Inliner, views: readonly Node[], index: readonly Index[], store: () => void): void {
  const { b, ix } = inline;
  const crop = views.findIndex((view) => boxOf(view));
  if (crop < 0) return store();
  const at = forwardIndex(ix, views.slice(0, crop), index);
  const view = views[crop];
  const rest = () => whereShown(inline, views.slice(crop + 1), forwardIndex(ix, [view], at), store);
  const holds = testsOf(view, at).map((test) => b.binary(test.op, ix.expr(test.at), b.u32(test.than)));
  if (!holds.length) return rest();
  b.when(
    holds.reduce((x, y) => b.binary('&&', x, y)),
    rest,
  );
}

/** Whether views show all of some elements or none of them. */
export function areShownAlike(
  { ix }: Inliner,
  views: readonly Node[],
  indices: readonly (readonly Index[])[],
): boolean {
  const crop = views.findIndex((view) => boxOf(view));
  if (crop < 0) return true;
  const keys = indices.map((index) => {
    const tests = testsOf(views[crop], forwardIndex(ix, views.slice(0, crop), index));
    return tests.map(({ at, op, than }) => `${keyOf(at)} ${op} ${than}`).join();
  });
  return keys.every((key) => key === keys[0]) && !views.slice(crop + 1).some((view) => boxOf(view));
}

/** What must hold of an index for the element to be in the box that a view shows. */
function testsOf(view: Node, index: readonly Index[]): Test[] {
  const box = boxOf(view)!;
  return index.flatMap((at, axis): Test[] => {
    const [from, to] = [box[axis], box[axis] + view.type.shape[axis]];
    return [
      ...(at.base < from ? [{ at, op: '>=', than: from } as const] : []),
      ...(maxOf(at) >= to ? [{ at, op: '<=', than: to - 1 } as const] : []),
    ];
  });
}
