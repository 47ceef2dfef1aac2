import { fixedSubgroupSize, type DeviceSpec } from '../../device.ts';
import { sizeOf } from '../../ir/index.ts';
import { contractionOf } from '../../ops/index.ts';
import {
  badCount,
  badGrid,
  badRegisters,
  badWorkgroup,
  combinations,
  type Cost,
  type Group,
  type Planning,
} from '../family.ts';

/** Derivatives of attention: an invocation owns a row, and holds up to `unrolled` columns of it in registers. */
export interface AttentionGradientPlan {
  readonly lanes: number;
  readonly unrolled: number;
  readonly rolled: boolean;
}

/** Columns of a row that an invocation walks with in registers: four such rows are 320 numbers. */
const MAX_HELD_COLUMNS = 80;

export const planning: Planning<AttentionGradientPlan> = {
  name: 'attention-gradient',
  doc: 'Derivatives of attention: an invocation owns a row and computes its weights anew.',
  computes: ['attention-statistics', 'attention-queries', 'attention-keys', 'attention-values'],
  provides: ['further contractions'],
  propose(_, device) {
    const rolled = device.kind === 'software';
    const lanes = rolled ? (fixedSubgroupSize(device) ?? 8) : 64;
    return { lanes, unrolled: MAX_HELD_COLUMNS, rolled };
  },
  refuses,
  candidates,
  cost: ({ lanes }, group) => passes(group, lanes),
  describe: ({ lanes }) => `${lanes} rows, one an invocation, weights computed anew`,
};

function candidates(_: Group, device: DeviceSpec): AttentionGradientPlan[] {
  const rolled = device.kind === 'software';
  const lanes = rolled ? [fixedSubgroupSize(device) ?? 8] : [32, 64, 128, 256];
  return combinations({ lanes, unrolled: [40, MAX_HELD_COLUMNS], rolled: [rolled] });
}

function refuses({ lanes, unrolled }: AttentionGradientPlan, group: Group, device: DeviceSpec): string | undefined {
  const bad = badCount({ lanes, unrolled }) ?? badWorkgroup(lanes, device) ?? badRegisters(heldBy(group, unrolled));
  if (bad) return bad;
  // The columns that complete a vector would be written by the next walk too.
  if (unrolled % 4) return `${unrolled} columns do not divide into vectors of 4`;
  const anchors = [group.anchor!, ...(group.results ?? []).flatMap(({ anchor }) => anchor ?? [])];
  const grids = anchors.flatMap((anchor) => badGrid(anchor, { rows: lanes, columns: Infinity }, device) ?? []);
  return grids[0];
}

/** Two rows of operands and two of sums; a wider row than `unrolled` is walked over in parts. */
function heldBy({ anchor }: Group, unrolled: number): number {
  const [q, , v] = anchor!.inputs;
  const rows = contractionOf(anchor!.op) === 'attention-statistics' ? [q] : [q, v];
  return 4 * Math.min(unrolled, Math.max(...rows.map(({ type }) => type.shape.at(-1)!)));
}

/** Each row is read by its own invocation, and once for each workgroup of the others. */
function passes({ anchor }: Group, lanes: number): Cost {
  const { shape } = anchor!.type;
  const rows = shape.at(-2)!;
  return { macs: sizeOf(shape) * rows, loads: anchor!.inputs.map(() => 1 + Math.ceil(rows / lanes)) };
}
