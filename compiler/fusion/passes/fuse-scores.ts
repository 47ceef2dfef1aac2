/** Contractions over the same scores of an attention are one kernel: its derivatives, and its statistics beside it. */
import { shareScores } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup } from '../group.ts';
import { firstOf, Merging } from '../merging.ts';

export function fuseScores(fusion: Fusion, context: FusionContext): Fusion {
  const merging = new Merging(fusion, context);
  for (const group of merging.inOrder()) {
    if (group.kind !== 'contraction' || !merging.has(group)) continue;
    for (let merged: FusionGroup | undefined = group; merged;) {
      const one: FusionGroup = merged;
      const others = merging.inOrder().filter((other) => other !== one && other.anchor);
      const alike = others.filter(({ anchor }) => shareScores(one.anchor!, anchor!));
      merged = firstOf(alike, (other) => merging.merge(one, other));
    }
  }
  return merging.merged;
}
