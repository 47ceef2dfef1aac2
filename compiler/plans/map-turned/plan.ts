import { sizeOf, type Node } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { writesSlice, isFourBehind } from '../../ops/index.ts';
import {
  badCount,
  badDimensions,
  badMemory,
  badWorkgroup,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';

/** Tiles of the root, `tall` along an axis along which what it reads lies in memory, and `wide` along the last, along which it is stored. */
export interface TurnedMapPlan {
  readonly axis: number;
  readonly tall: number;
  readonly wide: number;
  readonly workgroup: number;
}

export const planning: Planning<TurnedMapPlan> = {
  name: 'map-turned',
  doc: 'Tiles of elements are computed in the order in which what they read lies in memory, and stored in their own.',
  computes: ['map'],
  forHardware: true,
  propose,
  refuses,
  candidates,
  order: () => 'elements',
  cost: () => ({ macs: 0, loads: [] }),
  describe: ({ tall, wide }) => `tiles of ${tall}×${wide} elements, turned in workgroup memory`,
  byFours: () => true,
  storesFours: true,
};

/** From so many elements on, what is read one here and one there takes longer than the turn. */
const MANY = 2 ** 17;

/** 128 bytes of f32 that are read, and of f16 that are written. */
const TILE = { tall: 32, wide: 64, workgroup: 128 };

export const strideOf = ({ tall }: TurnedMapPlan): number => tall + 1;

function propose(group: Group): TurnedMapPlan | Rejection {
  if (sizeOf(group.root.type.shape) < MANY) return { rejected: 'it has few elements' };
  const axis = axisOfReads(group);
  return axis === undefined ? { rejected: 'what it reads lies as it does' } : { axis, ...TILE };
}

function candidates(group: Group): TurnedMapPlan[] {
  const axis = axisOfReads(group);
  if (axis === undefined) return [];
  return [
    { tall: 32, wide: 32, workgroup: 64 },
    { tall: 32, wide: 64, workgroup: 64 },
    { tall: 32, wide: 64, workgroup: 256 },
    { tall: 64, wide: 64, workgroup: 256 },
  ].map((tile) => ({ axis, ...tile }));
}

function refuses(plan: TurnedMapPlan, { root, results = [] }: Group, device: DeviceSpec): string | undefined {
  const { axis, tall, wide, workgroup } = plan;
  const { dtype, shape } = root.type;
  const last = shape.length - 1;
  if (!(axis in shape) || axis === last) return `it has no axis ${axis} before its last`;
  if (dtype !== 'f32' && dtype !== 'f16') return `it is of ${dtype}`;
  if (results.length > 1) return 'it has several results';
  const bad = badCount({ tall, wide }) ?? badWorkgroup(workgroup, device);
  if (bad) return bad;
  const odd = [tall, wide, shape[axis], shape[last]].find((size) => size % 4);
  if (odd) return `${odd} does not divide into fours`;
  if ((tall * wide) % (4 * workgroup)) return `${workgroup} invocations do not share ${tall}×${wide} elements evenly`;
  return badMemory(4 * wide * strideOf(plan), device) ?? badDimensions(gridOf(plan, root), device);
}

/** Tiles along the last axis and along the other, and all other axes together. */
export function gridOf({ axis, tall, wide }: TurnedMapPlan, { type: { shape } }: Node): [number, number, number] {
  const [columns, rows] = [shape.at(-1)!, shape[axis]];
  return [Math.ceil(columns / wide), Math.ceil(rows / tall), sizeOf(shape) / (rows * columns)];
}

/** The axis, not the last, along which all large values that a group reads lie in memory by fours; undefined where there is none. */
function axisOfReads({ root, reads = [] }: Group): number | undefined {
  const size = sizeOf(root.type.shape);
  const large = reads.filter((read) => 2 * sizeOf(read.type.shape) >= size);
  const last = root.type.shape.length - 1;
  if (!large.length || writesSlice(root)) return undefined;
  const paths = large.map((read) => pathTo(read, new Set(reads)));
  for (let axis = last - 1; axis >= 0; axis--)
    if (paths.every((behind) => isFourBehind(root, axis, behind))) return axis;
  return undefined;
}

/** The input of a value through which it reads another one. */
function pathTo(read: Node, reads: ReadonlySet<Node>): (node: Node) => Node | undefined {
  const known = new Map<Node, boolean>();
  const leads = (node: Node): boolean => {
    const found = known.get(node) ?? (node === read || (!reads.has(node) && node.inputs.some(leads)));
    known.set(node, found);
    return found;
  };
  return (node) => (node === read ? undefined : node.inputs.find(leads));
}
