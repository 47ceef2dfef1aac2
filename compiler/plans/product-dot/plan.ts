import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import {
  badCount,
  badGrid,
  badMemory,
  badRegisters,
  badWorkgroup,
  combinations,
  tiledCost,
  type Group,
  type Planning,
} from '../family.ts';

/** Few rows: `share` of the `lanes` invocations walk along k of one column together. */
export interface DotProductPlan {
  readonly lanes: number;
  readonly share: number;
}

/** From so many rows on, tiles read the weights as rarely. */
const MANY_ROWS = 8;

const rowsOf = ({ anchor }: Group): number => anchor!.type.shape.at(-2)!;

const tileOf = ({ lanes, share }: DotProductPlan, group: Group): Tile => ({
  rows: rowsOf(group),
  columns: lanes / share,
});

/** Partial results that the invocations add up through workgroup memory. */
export const partsOf = ({ lanes }: DotProductPlan, rows: number): number => lanes * rows;

export const planning: Planning<DotProductPlan> = {
  name: 'product-dot',
  doc: 'Few rows: invocations walk along k of one column together, and read each weight once.',
  computes: ['product'],
  countsRows: true,
  propose(group) {
    const rows = rowsOf(group);
    if (rows >= MANY_ROWS) return { rejected: `${rows} rows, not a handful` };
    return { lanes: 64, share: 16 };
  },
  refuses,
  candidates,
  order: ({ share }) => `${share} sums`,
  cost: (plan, group) => tiledCost(group, tileOf(plan, group)),
  describe: ({ share }) => `${share} invocations per column along k`,
};

/** Up to twice as many rows as it is proposed for. */
function candidates(group: Group, device: DeviceSpec): DotProductPlan[] {
  if (rowsOf(group) > 2 * MANY_ROWS) return [];
  // Software computes the lanes of a workgroup a vector at a time: more of them are no faster, and barriers cost.
  const lanes = device.kind === 'software' ? [64] : [32, 64, 128, 256];
  return combinations({ lanes, share: [4, 8, 16, 32] });
}

function refuses(plan: DotProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, share } = plan;
  const rows = rowsOf(group);
  const bad = badCount({ lanes, share }) ?? badWorkgroup(lanes, device) ?? badRegisters(rows);
  if (bad) return bad;
  if (lanes % share) return `${lanes} lanes do not divide into columns of ${share}`;
  // The last step has an invocation for each element.
  if (rows > share) return `${rows} rows, more than the ${share} invocations of a column`;
  return badMemory(4 * partsOf(plan, rows), device) ?? badGrid(group.anchor!, tileOf(plan, group), device);
}
