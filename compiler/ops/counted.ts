/** Reductions of what counts only where a condition holds. */
import type { Node } from '../ir/index.ts';
import { combinerOf } from './define.ts';
import { identityOf } from './kinds.ts';

/** What a reduction counts, and where: elsewhere there is what changes nothing. */
export interface Counted {
  readonly condition: Node;
  readonly value: Node;
}

/** Undefined where all counts. */
export function countedWhere({ op, inputs: [x] }: Node): Counted | undefined {
  if (x.op !== 'select') return undefined;
  const [condition, value, other] = x.inputs;
  const isNothing = other.op === 'constant' && other.attrs.value === identityOf(combinerOf(op), x.type.dtype);
  return isNothing ? { condition, value } : undefined;
}
