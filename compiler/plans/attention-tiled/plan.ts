import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { badGrid, type Group, type Planning, type Rejection } from '../family.ts';
import { onlineCost, sizesOf } from '../online-attention.ts';
import {
  badBlocks,
  layoutOf,
  mostBytes,
  scoreBlocks,
  scoreOrder,
  tall,
  wide,
  type ScoreBlocks,
} from '../score-blocks.ts';

/** Online attention by blocks in registers: own rows are queries, the others keys. */
export type TiledAttentionPlan = ScoreBlocks;

export const planning: Planning<TiledAttentionPlan> = {
  name: 'attention-tiled',
  doc: 'Online attention by a workgroup: queries, keys and values pass through workgroup memory, scores and output are in registers.',
  computes: ['attention', 'attention-statistics'],
  forHardware: true,
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  order: scoreOrder,
  cost(plan, group) {
    const cost = onlineCost(group, tall(plan));
    // Queries pass by once for each block of keys: workgroup memory is better spent on larger blocks.
    const blocks = Math.ceil(sizesOf(group).n / wide(plan));
    return { ...cost, loads: cost.loads.map((count, i) => (i ? count : blocks)) };
  },
  describe: (plan) =>
    `online, ${tall(plan)} queries × ${wide(plan)} keys at a time, ${plan.rows}×${plan.others} scores an invocation`,
  byFours: () => true,
};

/** Workgroups that keep most GPUs busy: two for each of some thirty cores. */
const ENOUGH_WORKGROUPS = 64;

function propose(group: Group, device: DeviceSpec): TiledAttentionPlan | Rejection {
  const { m, n, d, e } = sizesOf(group);
  if (m < 16) return { rejected: `${m} queries fill no block of 32` };
  const workgroups = (rows: number) => sizeOf(group.anchor!.type.shape.slice(0, -2)) * Math.ceil(m / rows);
  // The batch is not asked where sums must not depend on it.
  const isFilled = (rows: number) =>
    rows <= 32 || (m > rows / 2 && (device.steady || workgroups(rows) >= ENOUGH_WORKGROUPS));
  for (const plan of scoreBlocks(device, d, e, n)) {
    const fits = 16 * layoutOf(plan, e).vectors <= mostBytes(device) && isFilled(tall(plan));
    if (fits && !refuses(plan, group, device)) return plan;
  }
  return { rejected: `no block of queries and values of width ${e} fits ${mostBytes(device)} bytes` };
}

function candidates(group: Group, device: DeviceSpec): Iterable<TiledAttentionPlan> {
  const { n, d, e } = sizesOf(group);
  return scoreBlocks(device, d, e, n);
}

function refuses(plan: TiledAttentionPlan, group: Group, device: DeviceSpec): string | undefined {
  const { e } = sizesOf(group);
  const held = plan.rows * (Math.ceil(e / plan.across) + plan.others);
  return (
    badBlocks(plan, held, layoutOf(plan, e).vectors, device) ??
    badGrid(group.anchor!, { rows: tall(plan), columns: Infinity }, device)
  );
}
