import { sizeOf } from '../../ir/index.ts';
import { badLine, badWorkgroup, tiledCost, type Planning } from '../family.ts';

/** One invocation per element of the product. */
export interface SimpleProductPlan {
  readonly family: 'product-simple';
  readonly workgroup: number;
}

export const planning: Planning<SimpleProductPlan> = {
  name: 'product-simple',
  doc: 'One invocation per element of the product: for products too small to tile.',
  computes: ['product'],
  provides: ['row statistics', 'row sums'],
  propose: () => ({ family: 'product-simple', workgroup: 64 }),
  refuses: ({ workgroup }, { anchor }, device) =>
    badWorkgroup(workgroup, device) ?? badLine(sizeOf(anchor!.type.shape), workgroup, device),
  cost: (_, group) => tiledCost(group, { rows: 1, columns: 1 }),
  describe: () => 'one invocation per element, no tile',
};
