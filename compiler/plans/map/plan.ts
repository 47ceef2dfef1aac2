import { mapShape } from '../../fusion/group.ts';
import { sizeOf } from '../../ir/index.ts';
import { writesSlice } from '../../ops/index.ts';
import { isHardware, type DeviceSpec } from '../../device.ts';
import { badLine, badWorkgroup, type Group, type Planning } from '../family.ts';

/** One invocation per element of the root, or for each `width` that lie side by side. */
export interface MapPlan {
  readonly workgroup: number;
  readonly width?: number;
}

export const planning: Planning<MapPlan> = {
  name: 'map',
  doc: 'One invocation per element, or for four that lie side by side.',
  computes: ['map'],
  propose,
  refuses,
  candidates,
  order: () => 'elements',
  cost: () => ({ macs: 0, loads: [] }),
  describe: ({ width = 1 }) => `one invocation ${width === 1 ? 'per element' : `for ${width} elements`}`,
  byFours: ({ width }) => width === 4,
  storesFours: true,
};

/** From so many elements on a quarter of the invocations keeps a GPU busy. */
const MANY = 2 ** 17;

const WORKGROUP = 64;
/**
 * Few elements are no work whatever the workgroup. One that they fill makes a kernel that knows no size: vectors of 48, 80 and 96 channels
 * share it.
 */
const FEW = 2 ** 10;
const SMALL = 16;

const liesInFours = ({ root }: Group): boolean => !writesSlice(root) && (root.type.shape.at(-1) ?? 1) % 4 === 0;

function propose(group: Group, device: DeviceSpec): MapPlan {
  const elements = sizeOf(mapShape(group));
  const isWide = isHardware(device) && liesInFours(group) && elements >= MANY;
  const workgroup = elements < FEW && elements % WORKGROUP && elements % SMALL === 0 ? SMALL : WORKGROUP;
  return { workgroup, ...(isWide && { width: 4 }) };
}

function candidates(group: Group, device: DeviceSpec): MapPlan[] {
  const each = [32, 64, 128, 256].map((workgroup): MapPlan => ({ workgroup }));
  const isWide = isHardware(device) && liesInFours(group);
  return isWide ? [...each, ...each.map((plan) => ({ ...plan, width: 4 }))] : each;
}

function refuses({ workgroup, width = 1 }: MapPlan, group: Group, device: DeviceSpec): string | undefined {
  if (width !== 1 && width !== 4) return `${width} elements an invocation`;
  if (width === 4 && !liesInFours(group)) return 'its elements do not lie by fours';
  return badWorkgroup(workgroup, device) ?? badLine(sizeOf(mapShape(group)) / width, workgroup, device);
}
