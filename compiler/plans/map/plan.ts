import { sizeOf } from '../../ir/index.ts';
import { badLine, badWorkgroup, type Planning } from '../family.ts';

/** One invocation per element of the root. */
export interface MapPlan {
  readonly family: 'map';
  readonly workgroup: number;
}

export const planning: Planning<MapPlan> = {
  name: 'map',
  doc: 'One invocation per element.',
  computes: ['map'],
  propose: () => ({ family: 'map', workgroup: 64 }),
  refuses: ({ workgroup }, { root }, device) =>
    badWorkgroup(workgroup, device) ?? badLine(sizeOf(root.type.shape), workgroup, device),
  candidates: () => [32, 64, 128, 256].map((workgroup) => ({ family: 'map', workgroup })),
  order: () => 'elements',
  cost: () => ({ macs: 0, loads: [] }),
  describe: () => 'one invocation per element',
};
