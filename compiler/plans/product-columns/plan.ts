import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import { contiguousAxis } from '../contiguous.ts';
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
  type Rejection,
} from '../family.ts';

/**
 * Few rows and many columns on GPUs, of a right operand whose columns lie side by side: an invocation has four of them in all its `rows`,
 * and walks along k. `across` invocations are beside each other; `shares` of those walk along parts of k and add up what they have.
 */
export interface ColumnsProductPlan {
  readonly rows: number;
  readonly across: number;
  readonly shares: number;
}

/** Columns of an invocation, and steps of k between two looks at where it is. */
export const FOUR = 4;

const tileOf = ({ rows, across }: ColumnsProductPlan): Tile => ({ rows, columns: FOUR * across });

export const planning: Planning<ColumnsProductPlan> = {
  name: 'product-columns',
  doc: 'Few rows on GPUs, columns that lie side by side: an invocation has four of these in all rows, several share the depth.',
  computes: ['product'],
  countsRows: true,
  forHardware: true,
  propose,
  refuses,
  candidates,
  order: ({ shares }) => `along k in ${shares}`,
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe: ({ rows, across, shares }) => `${rows}×${FOUR * across} elements, ${shares} along k of each`,
  tile: tileOf,
  each: ({ rows, shares }) => (FOUR * rows) / shares,
  byFours: () => true,
  storesFours: true,
};

/** From so many rows on, tiles in vectors are filled. */
const MANY_ROWS = 32;
/** Rows of an invocation: what is in registers besides its sums. */
const MOST_ROWS = 8;
const MOST_SHARES = 16;
/** Steps that an invocation takes at least, where more share the depth. */
const LEAST_STEPS = 32;
/** Invocations that hide each other's loads, on some hundred cores. */
const BUSY = 2 ** 15;
function propose(group: Group, device: DeviceSpec): ColumnsProductPlan | Rejection {
  const { inputs, type } = group.anchor!;
  const [x, y] = inputs;
  const [m, n] = type.shape.slice(-2);
  if (m >= MANY_ROWS) return { rejected: `${m} rows fill tiles` };
  if (contiguousAxis(y) !== 'last') return { rejected: 'its columns do not lie side by side' };
  const rows = Math.min(m, MOST_ROWS);
  const across = n >= 4096 ? 64 : 16;
  if (n < FOUR * across) return { rejected: `${n} columns are fewer than ${FOUR * across}` };
  const depth = x.type.shape.at(-1)!;
  const invocations = sizeOf(type.shape.slice(0, -2)) * Math.ceil(m / rows) * Math.ceil(n / (FOUR * across)) * across;
  let shares = 1;
  while (shares < MOST_SHARES && shares * invocations < BUSY && depth >= 2 * shares * LEAST_STEPS) shares *= 2;
  while (shares > 1 && refuses({ rows, across, shares }, group, device)) shares /= 2;
  return { rows, across, shares };
}

function candidates(): ColumnsProductPlan[] {
  return combinations({ rows: [1, 2, 4, 8], across: [16, 64], shares: [1, 4, 16] });
}

function refuses(plan: ColumnsProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { rows, across, shares } = plan;
  const bad =
    badCount({ rows, across, shares }) ??
    badWorkgroup(across * shares, device) ??
    badRegisters(FOUR * (2 * rows + FOUR));
  if (bad) return bad;
  // Halves are added to halves.
  if (!Number.isInteger(Math.log2(shares))) return `${shares} shares of the depth, no power of two`;
  return badMemory(16 * vectorsOf(plan), device) ?? badGrid(group.anchor!, tileOf(plan), device);
}

/** Vectors of workgroup memory through which shares are added up, half of them at a time. */
export const vectorsOf = ({ rows, across, shares }: ColumnsProductPlan): number =>
  Math.floor(shares / 2) * rows * across;
