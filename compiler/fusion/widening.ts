/** Casts to f32 at the end of a kernel. */
import type { Node } from '../ir/index.ts';
import type { Draft } from './regions.ts';

interface Absorbed {
  readonly returned: ReadonlySet<Node>;
  /** The draft that computes each absorbed node. */
  readonly owner: Map<Node, Draft>;
}

/** What is only cast to f32 at last, for several readers, is stored as it was before: each reader casts what it loads. */
export function leaveWidening({ owner, returned }: Absorbed): void {
  for (const draft of new Set(owner.values())) {
    while (isWidening(draft.root) && !returned.has(draft.root)) {
      owner.delete(draft.root);
      [draft.root] = draft.root.inputs;
    }
  }
}

const isWidening = ({ op, inputs, type }: Node): boolean =>
  op === 'cast' && inputs[0].type.dtype === 'f16' && type.dtype === 'f32';
