import { sizeOf } from '../../ir/index.ts';
import { attrNumber } from '../../ops/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { badLine, badWorkgroup, type Group, type Planning, type Rejection } from '../family.ts';

/** One invocation per line along the axis. */
export interface ScanPlan {
  readonly workgroup: number;
}

/** A line so many times longer than there are lines leaves most of a device idle: passes over all elements are faster. */
const LONGEST = 64;

export const planning: Planning<ScanPlan> = {
  name: 'scan',
  doc: 'Running sums: an invocation walks along its line of the axis.',
  computes: ['scan'],
  propose,
  refuses: ({ workgroup }, group, device) =>
    badWorkgroup(workgroup, device) ?? badLine(linesOf(group).count, workgroup, device),
  candidates: () => [32, 64, 128, 256].map((workgroup) => ({ workgroup })),
  order: () => 'along the line',
  cost: (_, group) => ({ macs: 0, loads: group.anchor!.inputs.map(() => 1) }),
  describe: () => 'one invocation per line',
};

function propose(group: Group, device: DeviceSpec): ScanPlan | Rejection {
  const { count, length } = linesOf(group);
  // The lines may be those of the whole batch, and their number must not matter to the order of adding.
  if (!device.steady && length > LONGEST * count)
    return { rejected: `${count} lines of ${length} elements: passes over all are faster` };
  return { workgroup: 64 };
}

/** How many lines there are, and their length. */
export function linesOf({ anchor }: Group): { count: number; length: number } {
  const { attrs, type } = anchor!;
  const length = type.shape[attrNumber(attrs, 'axis')];
  return { count: sizeOf(type.shape) / length, length };
}
