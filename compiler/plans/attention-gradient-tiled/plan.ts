import type { DeviceSpec } from '../../device.ts';
import type { Group, Planning, Rejection } from '../family.ts';
import { badRows, derivativesOf, walksCost } from '../gradient-walks.ts';
import { badBlocks, layoutOf, mostBytes, scoreBlocks, tall, wide, type ScoreBlocks } from '../score-blocks.ts';

/** Derivatives of attention by blocks in registers: own rows are queries in some workgroups, keys in others. */
export type TiledGradientPlan = ScoreBlocks;

export const planning: Planning<TiledGradientPlan> = {
  name: 'attention-gradient-tiled',
  doc: 'Derivatives of attention by workgroups of their own for queries and for keys, weights computed anew in registers.',
  computes: ['attention-queries', 'attention-keys', 'attention-values'],
  forHardware: true,
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  cost: (plan, group) => walksCost(tall(plan), wide(plan), group),
  describe: (plan) =>
    `${tall(plan)} rows × ${wide(plan)} others at a time, ${plan.rows}×${plan.others} scores an invocation, computed anew`,
  byFours: () => true,
};

/** Fewer rows leave most of a block idle. */
const LEAST_ROWS = 16;
/** Two sums are held beside two blocks of scores: few rows leave room for more workgroups in flight. */
const MOST_ROWS = 32;

function propose(group: Group, device: DeviceSpec): TiledGradientPlan | Rejection {
  const { m, n, d, e } = derivativesOf(group).dims;
  const columns = Math.max(d, e);
  if (Math.max(m, n) < LEAST_ROWS) return { rejected: `${m} queries and ${n} keys fill no block` };
  for (const plan of scoreBlocks(device, columns, columns, Math.max(m, n))) {
    const fits = 16 * layoutOf(plan, columns, true).vectors <= mostBytes(device) && tall(plan) <= MOST_ROWS;
    if (fits && !refuses(plan, group, device)) return plan;
  }
  return { rejected: `no block of rows of width ${columns} fits ${mostBytes(device)} bytes` };
}

function candidates(group: Group, device: DeviceSpec): Iterable<TiledGradientPlan> {
  const { m, n, d, e } = derivativesOf(group).dims;
  const columns = Math.max(d, e);
  return scoreBlocks(device, columns, columns, Math.max(m, n));
}

function refuses(plan: TiledGradientPlan, group: Group, device: DeviceSpec): string | undefined {
  const { down, across, rows, others } = plan;
  const { dq, dk, dv, dims } = derivativesOf(group);
  const columns = (width: number) => Math.ceil(width / across);
  const byKey = (dk ? columns(dims.d) : 0) + (dv ? columns(dims.e) : 0);
  const held = rows * (Math.max(dq ? columns(dims.d) : 0, byKey) + (dq || dk ? 2 : 1) * others);
  const bad = badBlocks(plan, held, layoutOf(plan, Math.max(dims.d, dims.e), true).vectors, device);
  if (bad) return bad;
  if (wide(plan) % (4 * down)) return `${wide(plan)} rows do not divide into fours for ${down} invocations`;
  return badRows(tall(plan), group, device);
}
