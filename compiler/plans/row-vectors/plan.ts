import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { rowAxes } from '../../fusion/regions.ts';
import {
  badCount,
  badLine,
  badMemory,
  badWorkgroup,
  combinations,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { badSubgroups, subgroupsOf } from '../fragments.ts';

/**
 * Rows on GPUs: `lanes` invocations share a row and combine what they have by subgroups, `width` elements at a time; a workgroup has
 * several rows, where each is one subgroup's. With one lane a row, an invocation has `width` rows that lie beside each other.
 */
export interface RowVectorsPlan {
  readonly lanes: number;
  readonly rowsPerWorkgroup: number;
  /** Invocations of a subgroup; 0 where rows are not shared. */
  readonly subgroup: number;
  /** Whether the kernel asks for subgroups of that size: the device has them of several. */
  readonly sized: boolean;
  readonly width: 1 | 4;
}

export const planning: Planning<RowVectorsPlan> = {
  name: 'row-vectors',
  doc: 'Row reductions on GPUs: subgroups share a row, or an invocation has four rows, and elements are loaded by fours.',
  computes: ['row'],
  forHardware: true,
  propose,
  refuses,
  candidates,
  // An invocation that has rows of its own adds up each as it lies.
  order: ({ lanes, subgroup, width }) =>
    lanes === 1 ? 'one by one' : `${lanes} by subgroups of ${subgroup}, ${width} at a time`,
  cost: () => ({ macs: 0, loads: [] }),
  describe: ({ lanes, subgroup, width }) =>
    lanes === 1
      ? `${width} rows per invocation`
      : `${lanes} lanes per row, combined by subgroups of ${subgroup}${width > 1 ? ', in vectors' : ''}`,
  byFours: ({ width }) => width === 4,
  storesFours: true,
};

/** Vectors, or elements, that a lane takes of a row before more lanes share it. */
const EACH = 8;
const MOST_LANES = 256;
/** Elements of a row that is worth a subgroup: most of its lanes may have nothing, but it needs no barrier. */
const LEAST = 8;
const ROWS = 4;
const NEIGHBOURS = 64;

/** Where rows lie, and how long they are. */
function rowsOf(group: Group) {
  const { shape, kept, reduced } = rowAxes(group.reductions!);
  const length = sizeOf(reduced.map((axis) => shape[axis]));
  const last = shape.length - 1;
  return {
    length,
    rows: sizeOf(kept.map((axis) => shape[axis])),
    /** Rows that lie next to each other. */
    side: sizeOf(shape.slice(Math.max(...reduced) + 1)),
    /** Whether elements of a row, or neighbouring rows, lie by fours. */
    isReducedByFours: reduced.includes(last) && shape[last] % 4 === 0,
    isKeptByFours: !reduced.includes(last) && shape[last] % 4 === 0,
  };
}

function propose(group: Group, device: DeviceSpec): RowVectorsPlan | Rejection {
  const { length, side, isReducedByFours, isKeptByFours } = rowsOf(group);
  if (side >= NEIGHBOURS) {
    if (!isKeptByFours) return { rejected: 'neighbouring rows are no multiple of four' };
    return { lanes: 1, rowsPerWorkgroup: 4 * 64, subgroup: 0, sized: false, width: 4 };
  }
  const subgroups = subgroupsOf(device);
  if (!subgroups) return { rejected: `kernels cannot ask ${device.name} for subgroups of a size` };
  const { lanes: subgroup, sized } = subgroups;
  const width = isReducedByFours ? 4 : 1;
  if (length < LEAST) return { rejected: `rows of ${length} are an invocation's` };
  let lanes = subgroup;
  while (length > EACH * width * lanes && lanes < MOST_LANES) lanes *= 2;
  return { lanes, rowsPerWorkgroup: lanes === subgroup ? ROWS : 1, subgroup, sized, width };
}

/** Rows by one invocation, by a subgroup of several, and by several subgroups; one by one and by fours. */
function candidates(_: Group, device: DeviceSpec): RowVectorsPlan[] {
  const subgroups = subgroupsOf(device);
  const both = { width: [1, 4] } as const;
  const own = { ...both, lanes: [1], rowsPerWorkgroup: [64, 128, 256, 512], subgroup: [0], sized: [false] };
  if (!subgroups) return combinations<RowVectorsPlan>(own);
  const { lanes, sized } = subgroups;
  const size = { subgroup: [lanes], sized: [sized] };
  return [
    ...combinations<RowVectorsPlan>(own),
    ...combinations<RowVectorsPlan>({ ...both, ...size, lanes: [lanes], rowsPerWorkgroup: [1, 2, ROWS, 2 * ROWS] }),
    ...combinations<RowVectorsPlan>({
      ...both,
      ...size,
      lanes: [2, 4, 8].map((n) => n * lanes),
      rowsPerWorkgroup: [1],
    }),
  ];
}

/** Invocations of a workgroup. */
export const invocationsOf = ({ lanes, rowsPerWorkgroup, width }: RowVectorsPlan): number =>
  lanes === 1 ? rowsPerWorkgroup / width : lanes * rowsPerWorkgroup;

function refuses(plan: RowVectorsPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rowsPerWorkgroup, subgroup, width } = plan;
  const { rows } = rowsOf(group);
  const bytes = lanes > subgroup && subgroup ? (4 * lanes * group.reductions!.length) / subgroup : 0;
  return (
    badCount({ lanes, rowsPerWorkgroup, width }) ??
    (lanes === 1 ? badNeighbours(plan, group) : badSharing(plan, group, device)) ??
    badWorkgroup(invocationsOf(plan), device) ??
    badMemory(bytes, device) ??
    badLine(rows, rowsPerWorkgroup, device)
  );
}

/** Rows of one invocation that do not lie beside each other. */
function badNeighbours({ rowsPerWorkgroup, subgroup, width }: RowVectorsPlan, group: Group): string | undefined {
  if (subgroup) return 'one lane a row has nothing to combine';
  if (rowsPerWorkgroup % width) return `${rowsPerWorkgroup} rows a workgroup, no multiple of ${width}`;
  if (width !== 1 && width !== 4) return `vectors of ${width}`;
  return width === 1 || rowsOf(group).isKeptByFours ? undefined : 'neighbouring rows are no multiple of four';
}

/** Lanes that do not share a row as the plan says. */
function badSharing(plan: RowVectorsPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rowsPerWorkgroup, subgroup, sized, width } = plan;
  const other = badSubgroups({ lanes: subgroup, sized }, device);
  if (other) return other;
  if (lanes % subgroup) return `${lanes} lanes are no whole subgroups of ${subgroup}`;
  if (rowsPerWorkgroup > 1 && lanes !== subgroup)
    return `${rowsPerWorkgroup} rows a workgroup, of several subgroups each`;
  if (width !== 1 && width !== 4) return `vectors of ${width}`;
  return width === 1 || rowsOf(group).isReducedByFours ? undefined : 'elements of a row do not lie by fours';
}
