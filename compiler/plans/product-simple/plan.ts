import type { DeviceSpec } from '../../device.ts';
import { sizeOf } from '../../ir/index.ts';
import { badLine, badWorkgroup, tiledCost, type Group, type Planning } from '../family.ts';

/** One invocation per element of the product. */
export interface SimpleProductPlan {
  readonly workgroup: number;
}

/** Multiply-adds from which on an invocation for each element is never worth a try. */
const MANY_MACS = 2 ** 24;

const candidates = ({ anchor }: Group, { kind }: DeviceSpec): SimpleProductPlan[] =>
  sizeOf(anchor!.type.shape) * anchor!.inputs[0].type.shape.at(-1)! < MANY_MACS
    ? (kind === 'software' ? [64] : [32, 64, 128, 256]).map((workgroup) => ({ workgroup }))
    : [];

export const planning: Planning<SimpleProductPlan> = {
  name: 'product-simple',
  doc: 'One invocation per element of the product: for products too small to tile.',
  computes: ['product'],
  provides: ['row statistics', 'row sums'],
  propose: () => ({ workgroup: 64 }),
  refuses: ({ workgroup }, { anchor }, device) =>
    badWorkgroup(workgroup, device) ?? badLine(sizeOf(anchor!.type.shape), workgroup, device),
  candidates,
  order: () => 'along k',
  cost: (_, group) => tiledCost(group, { rows: 1, columns: 1 }),
  describe: () => 'one invocation per element, no tile',
};
