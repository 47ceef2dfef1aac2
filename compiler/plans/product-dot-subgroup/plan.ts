import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import { contiguousAxis } from '../contiguous.ts';
import {
  badCount,
  badGrid,
  badRegisters,
  badWorkgroup,
  combinations,
  isRejected,
  tiledCost,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { badSubgroups, subgroupsOf } from '../fragments.ts';

/** Few rows on GPUs: each of `subgroups` walks along k of `columns` columns and `rows` rows, `width` elements a lane, and adds up its lanes. */
export interface SubgroupDotPlan {
  readonly subgroups: number;
  readonly rows: number;
  readonly columns: number;
  readonly width: 1 | 4;
  /** Lanes of a subgroup, and whether the kernel asks for that size. */
  readonly lanes: number;
  readonly sized: boolean;
}

const tileOf = ({ subgroups, rows, columns }: SubgroupDotPlan): Tile => ({ rows, columns: subgroups * columns });

export const planning: Planning<SubgroupDotPlan> = {
  name: 'product-dot-subgroup',
  doc: 'Few rows on GPUs: a subgroup walks along k of some columns in vectors, reads each weight once, and adds up its lanes.',
  computes: ['product'],
  countsRows: true,
  forHardware: true,
  propose,
  refuses,
  candidates,
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe: ({ lanes, rows, columns }) => `a subgroup of ${lanes} along k of ${rows}×${columns} elements`,
  byFours: ({ width }) => width === 4,
};

/** From so many rows on, tiles in vectors are filled. */
const MANY_ROWS = 32;
/** Rows that a subgroup takes: those of more are read once for each so many. */
const MOST_ROWS = 8;
const SUBGROUPS = 4;

function propose(group: Group, device: DeviceSpec): SubgroupDotPlan | Rejection {
  const { inputs, type } = group.anchor!;
  const [x, y] = inputs;
  const m = type.shape.at(-2)!;
  const depth = x.type.shape.at(-1)!;
  if (m >= MANY_ROWS) return { rejected: `${m} rows fill tiles` };
  const can = subgroupsOf(device);
  if (!can) return { rejected: `kernels cannot ask ${device.name} for subgroups of a size` };
  if (contiguousAxis(x) !== 'last' || contiguousAxis(y) === 'last')
    return { rejected: 'its operands do not lie along k' };
  if (depth < can.lanes) return { rejected: `${depth} steps of k are fewer than the ${can.lanes} lanes of a subgroup` };
  const rows = Math.min(m, MOST_ROWS);
  const width = depth % 4 ? 1 : 4;
  return { subgroups: SUBGROUPS, rows, columns: rows < 3 ? 8 : 4, width, ...can };
}

function candidates(group: Group, device: DeviceSpec): SubgroupDotPlan[] {
  const own = propose(group, device);
  if (isRejected(own)) return [];
  const { rows, width, lanes, sized } = own;
  const same = { width: [width], lanes: [lanes], sized: [sized] };
  const fewer = rows > 2 ? [rows, Math.ceil(rows / 2)] : [rows];
  return combinations({ ...same, subgroups: [1, 2, SUBGROUPS, 2 * SUBGROUPS], rows: fewer, columns: [2, 4, 8] });
}

function refuses(plan: SubgroupDotPlan, group: Group, device: DeviceSpec): string | undefined {
  const { subgroups, rows, columns, width, lanes } = plan;
  const bad =
    badCount({ subgroups, rows, columns, width, lanes }) ??
    badWorkgroup(subgroups * lanes, device) ??
    badRegisters(rows * columns + width * (rows + columns));
  if (bad) return bad;
  const other = badSubgroups(plan, device);
  if (other) return other;
  if (rows * columns > lanes) return `${rows}×${columns} elements have no lane each to store them`;
  if (width !== 1 && (width !== 4 || group.anchor!.inputs[0].type.shape.at(-1)! % 4))
    return `k does not divide into vectors of ${width}`;
  return badGrid(group.anchor!, tileOf(plan), device);
}
