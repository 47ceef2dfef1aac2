import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { attentionDims, gradientOperands } from '../../ops/index.ts';
import { badDimensions, type Cost, type Group, type Planning, type Rejection } from '../family.ts';
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

/** Which derivatives a kernel computes, and of what sizes. */
export function derivativesOf({ anchor, results = [] }: Group) {
  const found = new Map([anchor!, ...results.flatMap((result) => result.anchor ?? [])].map((node) => [node.op, node]));
  const [dq, dk, dv] = ['attention_dq', 'attention_dk', 'attention_dv'].map((op) => found.get(op));
  return { dq, dk, dv, dims: attentionDims(gradientOperands(anchor!.inputs).own.map(({ type }) => type)) };
}

/** Workgroups along x, of so many rows each: those that own queries, then those that own keys. */
export function gridOf(rows: number, group: Group): readonly [queries: number, keys: number] {
  const { dq, dk, dv, dims } = derivativesOf(group);
  return [dq ? Math.ceil(dims.m / rows) : 0, dk || dv ? Math.ceil(dims.n / rows) : 0];
}

/** Fewer rows leave most of a block idle. */
const LEAST_ROWS = 16;
/** Two sums are held beside two blocks of scores: few rows leave room for more workgroups in flight. */
const MOST_ROWS = 32;

function propose(group: Group, device: DeviceSpec): TiledGradientPlan | Rejection {
  const { m, n, d, e } = derivativesOf(group).dims;
  const columns = Math.max(d, e);
  if (Math.max(m, n) < LEAST_ROWS) return { rejected: `${m} queries and ${n} keys fill no block` };
  for (const blocks of scoreBlocks(device, columns, columns, Math.max(m, n))) {
    const plan = { ...blocks };
    const fits = 16 * layoutOf(plan, columns, true).vectors <= mostBytes(device) && tall(plan) <= MOST_ROWS;
    if (fits && !refuses(plan, group, device)) return plan;
  }
  return { rejected: `no block of rows of width ${columns} fits ${mostBytes(device)} bytes` };
}

function candidates(group: Group, device: DeviceSpec): TiledGradientPlan[] {
  const { m, n, d, e } = derivativesOf(group).dims;
  const columns = Math.max(d, e);
  const blocks = [...scoreBlocks(device, columns, columns, Math.max(m, n))];
  return blocks.map((one) => ({ ...one }));
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

/** Why workgroups of so many rows are too many for the device; undefined where they are not. */
export function badRows(rows: number, group: Group, device: DeviceSpec): string | undefined {
  const [queries, keys] = gridOf(rows, group);
  return badDimensions([queries + keys, 1, sizeOf(derivativesOf(group).dims.batch)], device);
}

/** Rows pass by once for each block of the others, in each of the walks. */
export function walksCost(rows: number, others: number, group: Group): Cost {
  const { dk, dv, dims } = derivativesOf(group);
  const [queries, keys] = gridOf(rows, group);
  const { d, e } = dims;
  const padded = (count: number) => Math.ceil(count / others) * others;
  const byQuery = queries * padded(dims.n) * (2 * d + e);
  const byKey = keys * padded(dims.m) * (d + (dv ? e : 0) + (dk ? d + e : 0));
  const loads = group.anchor!.inputs.map(() => queries + keys);
  return { macs: sizeOf(dims.batch) * rows * (byQuery + byKey), loads };
}
