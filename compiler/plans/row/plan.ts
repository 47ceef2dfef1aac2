import { sizeOf } from '../../ir/index.ts';
import { fixedSubgroupSize, limit, type DeviceSpec } from '../../device.ts';
import { rowAxes } from '../../fusion/regions.ts';
import {
  badCount,
  badLanes,
  badLine,
  badMemory,
  badWorkgroup,
  combinations,
  type Group,
  type Planning,
} from '../family.ts';

/** `lanes` invocations share a row and combine by subgroup operations or through workgroup memory; 1: each its own row. */
export interface RowPlan {
  readonly lanes: number;
  readonly rowsPerWorkgroup: number;
  readonly combine: 'subgroup' | 'workgroup' | 'serial';
  readonly rolled: boolean;
}

export const planning: Planning<RowPlan> = {
  name: 'row',
  doc: 'Row reductions: the invocations of a row stride over its elements and combine what they have.',
  computes: ['row'],
  propose,
  refuses,
  candidates,
  order: ({ lanes, combine }) => `${lanes} by ${combine}`,
  cost: () => ({ macs: 0, loads: [] }),
  describe: ({ lanes, combine }) =>
    combine === 'serial'
      ? 'one invocation per row'
      : `${lanes} lanes per row, combined by ${combine === 'subgroup' ? 'subgroup' : 'workgroup memory'}`,
};

function propose(group: Group, device: DeviceSpec): RowPlan {
  const { shape, reduced } = rowAxes(group.reductions!);
  const length = reduced.reduce((n, axis) => n * shape[axis], 1);
  const rolled = device.kind === 'software';
  // Rows that lie next to each other, as when the last axis is kept: then a row per invocation reads coalesced.
  const side = sizeOf(shape.slice(Math.max(...reduced) + 1));
  if (length < 8 || side >= 64) {
    return { lanes: 1, rowsPerWorkgroup: 64, combine: 'serial', rolled };
  }
  const subgroup = fixedSubgroupSize(device);
  if (subgroup && device.kind === 'software') {
    return { lanes: subgroup, rowsPerWorkgroup: 1, combine: 'subgroup', rolled };
  }
  const lanes = Math.min(limit(device, 'maxComputeInvocationsPerWorkgroup'), length >= 512 ? 256 : 64);
  return { lanes, rowsPerWorkgroup: 1, combine: 'workgroup', rolled };
}

function candidates(_: Group, device: DeviceSpec): RowPlan[] {
  const rolled = [device.kind === 'software'];
  const size = fixedSubgroupSize(device);
  const shared = { lanes: [32, 64, 128, 256], rowsPerWorkgroup: [1], combine: ['workgroup'], rolled } as const;
  const subgroup = { lanes: [size ?? 1], rowsPerWorkgroup: [1], combine: ['subgroup'], rolled } as const;
  const serial = { lanes: [1], rowsPerWorkgroup: [8, 32, 64], combine: ['serial'], rolled } as const;
  return [
    ...combinations<RowPlan>(serial),
    ...(size ? combinations<RowPlan>(subgroup) : []),
    // Barriers are what software is slow at.
    ...(device.kind === 'software' ? [] : combinations<RowPlan>(shared)),
  ];
}

function refuses(plan: RowPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rowsPerWorkgroup, combine } = plan;
  const { shape, kept } = rowAxes(group.reductions!);
  const rows = sizeOf(kept.map((axis) => shape[axis]));
  const invocations = combine === 'serial' ? rowsPerWorkgroup : lanes;
  const bytes = combine === 'workgroup' ? 4 * lanes * group.reductions!.length : 0;
  return (
    badCount({ lanes, rowsPerWorkgroup }) ??
    mismatched(plan, device) ??
    badWorkgroup(invocations, device) ??
    badMemory(bytes, device) ??
    badLine(rows, combine === 'serial' ? rowsPerWorkgroup : 1, device)
  );
}

/** Lanes that do not combine as the plan says. */
function mismatched({ lanes, rowsPerWorkgroup, combine }: RowPlan, device: DeviceSpec): string | undefined {
  if (combine === 'serial') return lanes === 1 ? undefined : `${lanes} lanes a row that combine nothing`;
  if (lanes === 1) return 'one lane a row has nothing to combine';
  if (rowsPerWorkgroup > 1) return `${rowsPerWorkgroup} rows a workgroup: rows that lanes share have one each`;
  if (combine === 'subgroup') return badLanes(lanes, device);
  // Halves are added to halves.
  return Number.isInteger(Math.log2(lanes)) ? undefined : `${lanes} lanes, no power of two`;
}
