import { fixedSubgroupSize, limit, type DeviceSpec } from '../../device.ts';
import {
  badCount,
  badGrid,
  badMemory,
  badRegisters,
  badWorkgroup,
  combinations,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { onlineCost, sizesOf } from '../online-attention.ts';

/**
 * Online attention by a workgroup of `lanes`: a block of `rows` queries (a multiple of 4) against blocks of `keys` (a
 * multiple of `lanes`); an invocation accumulates `columns` columns of the output at a time.
 */
export interface AttentionPlan {
  readonly lanes: number;
  readonly rows: number;
  readonly keys: number;
  readonly columns: number;
  readonly rolled: boolean;
}

export const planning: Planning<AttentionPlan> = {
  name: 'attention',
  doc: 'Online attention by a workgroup, with scores and output of a block of queries in workgroup memory.',
  computes: ['attention'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  order: ({ lanes, keys }) => `${keys} keys by ${lanes}`,
  cost: ({ rows }, group) => onlineCost(group, rows),
  describe: ({ rows, keys, lanes }) => `online, ${rows} queries × ${keys} keys at a time, ${lanes} lanes`,
};

/** Columns of the output in workgroup memory: all that the invocations own, those beyond the last too. */
export const outputColumns = (e: number, { lanes, columns }: Pick<AttentionPlan, 'lanes' | 'columns'>): number =>
  Math.ceil(e / (lanes * columns)) * lanes * columns;

/** Scores, output, and three numbers a row. */
const bytesOf = (plan: AttentionPlan, e: number): number => 4 * plan.rows * (plan.keys + outputColumns(e, plan) + 3);

function propose(group: Group, device: DeviceSpec): AttentionPlan | Rejection {
  const software = device.kind === 'software';
  const lanes = software ? (fixedSubgroupSize(device) ?? 8) : 64;
  const { m, n, e } = sizesOf(group);
  const columns = software ? 4 : 1;
  // Few blocks: each costs three barriers. A software subgroup takes up to 8 keys a lane, all of a short row at once.
  const keys = lanes * (software ? Math.min(8, Math.ceil(n / lanes)) : 1);
  const plan = (rows: number): AttentionPlan => ({ lanes, rows, keys, columns, rolled: software });
  const memory = limit(device, 'maxComputeWorkgroupStorageSize');
  const fits = (rows: number) => bytesOf(plan(rows), e) <= memory;
  const isBlock = (rows: number) => rows === 4 || (rows <= Math.max(8, m) && !(software && rows > 8));
  const rows = [16, 8, 4].find((r) => fits(r) && isBlock(r));
  return rows ? plan(rows) : { rejected: `values of width ${e} do not fit ${memory} bytes of workgroup memory` };
}

function candidates(_: Group, device: DeviceSpec): AttentionPlan[] {
  const rolled = device.kind === 'software';
  const lanes = rolled ? [fixedSubgroupSize(device) ?? 8] : [32, 64, 128];
  return lanes.flatMap((count) =>
    combinations<AttentionPlan>({
      lanes: [count],
      rows: rolled ? [4, 8] : [4, 8, 16, 32],
      keys: [count, 2 * count, 4 * count],
      columns: [1, 2, 4],
      rolled: [rolled],
    }),
  );
}

function refuses(plan: AttentionPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rows, keys, columns } = plan;
  // First an invocation holds scores of its keys, then its columns of the output.
  const held = rows * (Math.max(keys / lanes, columns) + 1);
  const bad = badCount({ lanes, rows, keys, columns }) ?? badWorkgroup(lanes, device) ?? badRegisters(held);
  if (bad) return bad;
  if (rows % 4) return `${rows} queries do not divide into vectors of 4`;
  if (keys % lanes) return `${keys} keys do not divide among ${lanes} lanes`;
  const e = group.anchor!.type.shape.at(-1)!;
  return badMemory(bytesOf(plan, e), device) ?? badGrid(group.anchor!, { rows, columns: Infinity }, device);
}
