/** What choosing the stored values (stored.ts) goes by. */
import type { Node, Remarks } from '../ir/index.ts';
import type { FusionContext } from './context.ts';
import { givenBy, ownersOf, type Fusion, type FusionGroup } from './group.ts';

export interface Choice {
  readonly context: FusionContext;
  readonly groups: readonly FusionGroup[];
  /** What groups give: always stored. */
  readonly anchored: ReadonlySet<Node>;
  /** The group that alone computes each value. */
  readonly owners: ReadonlyMap<Node, FusionGroup>;
  /** Stored as their parts, and computed by no kernel. */
  readonly concats: Fusion['concats'];
  readonly remarks?: Remarks;
}

export const choiceFor = ({ groups, concats }: Fusion, context: FusionContext): Choice => ({
  ...{ context, groups, concats, remarks: context.remarks },
  anchored: givenBy(groups),
  owners: ownersOf(groups),
});
