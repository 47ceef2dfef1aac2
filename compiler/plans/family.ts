/**
 * A plan family is a way to compute fusion groups: which it computes and by what geometry (`plan.ts` of its folder), and how a
 * geometry becomes a kernel (`lower.ts`). A geometry is plain data: chosen by the family, or given by a tuner. One function,
 * `refuses`, says which geometries are right for a group; it is asked of every plan, whoever chose it, before it is lowered.
 */
import { labelOf, sizeOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { fixedSubgroupSize, isHardware, limit, type DeviceSpec } from '../device.ts';
import type { Tile } from '../fusion/group.ts';
import type { Region } from '../fusion/regions.ts';
import type { Launch, Site } from './common.ts';
import { foldGrid } from './grid.ts';
import type { Geometry, Plan } from './plan.ts';

export type { Geometry };

/** What a plan is chosen for: a fusion group, or as much of one as has been decided. */
export type Group = Pick<Region, 'kind' | 'root'> &
  Partial<
    Pick<Region, 'anchor' | 'reductions' | 'sums' | 'pieces' | 'totals' | 'views' | 'reads' | 'results' | 'members'>
  > & {
    /** What else is going to be fused with it, which the group does not have yet. */
    readonly needs?: readonly Need[];
  };

/** The group of a contraction that nothing is fused with yet. */
export const groupOf = (anchor: Node): Group => ({ kind: 'contraction', root: anchor, anchor });

/** Why a family does not compute a group: `… computes no row sums`. */
export interface Rejection {
  readonly rejected: string;
}

export const isRejected = <T extends object>(answer: T | Rejection): answer is Rejection => 'rejected' in answer;

/** What a group takes by a geometry, estimated. */
export interface Cost {
  /** Multiply-adds, those of partial tiles' padding included. */
  readonly macs: number;
  /** How often each element of the contraction's operands is loaded. */
  readonly loads: readonly number[];
}

/** What a family's `plan.ts` says of it. */
export interface Planning<P extends object> {
  readonly name: string;
  /** One line for docs and reports. */
  readonly doc: string;
  /** Kinds of group that it is for: of contractions, what their records call them. */
  readonly computes: readonly string[];
  /** What it computes beside the contraction, in the same kernel. */
  readonly provides?: readonly Need[];
  /** Whether it is proposed, and worth measuring, on hardware alone: software is slow at it, or at compiling it. */
  readonly forHardware?: boolean;
  /** Whether the number of rows decides how it adds up: then it is none where that may be the whole batch's (`steady`). */
  readonly countsRows?: boolean;
  /** The geometry for a group of those kinds; or why another family serves it better. */
  propose(group: Group, device: DeviceSpec): P | Rejection;
  /** Why `lower` cannot compute the group with a geometry, or the device not run it; undefined where both can. */
  refuses(geometry: P, group: Group, device: DeviceSpec): string | undefined;
  cost(geometry: P, group: Group): Cost;
  /** Geometries worth measuring on the device beside the one proposed, none unless told; those that are refused are passed over. */
  candidates?(group: Group, device: DeviceSpec): Iterable<P>;
  /**
   * Names the order in which a group is added up: any two geometries of the family of one order give the same bits. Where results must not hang on
   * the batch (`steady`), a tuner chooses among those. Without it, each geometry counts as an order of its own.
   */
  order?(geometry: P, group: Group): string;
  /** For people: `workgroup tile 64×64, 4×4 per invocation`. */
  describe(geometry: P): string;
  /** Of contractions in tiles: what a workgroup computes. */
  tile?(geometry: P): Tile;
  /** Whether it loads values by fours, where they lie so. */
  byFours?(geometry: P): boolean;
  /** Of contractions in tiles: elements of an invocation, over how many share their depth; as many as in other tiles unless told. */
  each?(geometry: P): number;
  /** Of contractions in tiles: steps that a part of their depth has at least, where that is worth another pass over the sums. */
  readonly leastDepth?: number;
  /** Whether it stores them by fours too. */
  readonly storesFours?: boolean;
  /** Whether it multiplies so fast that gathering elements one by one costs it more than a copy in which they lie side by side. */
  readonly wantsRuns?: boolean;
}

/** A family as the registry knows it: its geometries bear its name. */
export interface Family extends Planning<Plan> {
  /** A geometry that `lower` computes the group with: `wanted`, else the family's own; or the reason why there is none. */
  admits(group: Group, device: DeviceSpec, wanted?: Plan): Plan | Rejection;
  candidates(group: Group, device: DeviceSpec): Plan[];
  lower(site: Site, geometry: Plan): Launch;
}

/** All combinations of the values of each key. */
export function combinations<T extends object>(values: { readonly [K in keyof T]: readonly T[K][] }): T[] {
  return (Object.keys(values) as (keyof T)[]).reduce(
    (made, key) => made.flatMap((one) => values[key].map((value) => ({ ...one, [key]: value }))),
    [{} as T],
  );
}

/** Makes a family of what its folder exports: `planning` and the function that lowers. */
export function family<P extends object>(planning: Planning<P>, lower: (site: Site, geometry: P) => Launch): Family {
  // The registry asks a family only about geometries that bear its name.
  const own = { ...planning, lower } as unknown as Pick<Family, keyof Planning<Plan> | 'lower'>;
  const { name, forHardware, propose, refuses, candidates = () => [] } = own;
  const named = (geometry: object): Plan => ({ family: name, ...geometry });
  const isFor = (device: DeviceSpec) => isHardware(device) || !forHardware;
  return {
    ...own,
    admits(group, device, wanted) {
      const lacking = lacks(own, group, device);
      if (lacking) return { rejected: lacking };
      if (!wanted && !isFor(device)) return { rejected: `${device.name} is not hardware alone` };
      const geometry = wanted ?? propose(group, device);
      if (isRejected(geometry)) return geometry;
      const why = refuses(geometry, group, device);
      return why ? { rejected: why } : (wanted ?? named(geometry));
    },
    candidates: (group, device) => (isFor(device) ? [...candidates(group, device)].map(named) : []),
  };
}

/** What a kernel computes beside the contraction that it is for. */
export type Need =
  'row statistics' | 'stored rows' | 'row sums' | 'partial reductions' | 'totals' | 'further contractions';

export function needsOf({
  needs: asked = [],
  anchor,
  reductions = [],
  sums = [],
  pieces,
  totals = [],
  results = [],
}: Group) {
  const anchors = results.flatMap((result) => result.anchor ?? []);
  const [first] = reductions;
  const others = anchors.filter((node) => node !== anchor && node !== first && !sums.includes(node));
  const needs: Record<Need, boolean> = {
    'row statistics': anchor !== undefined && reductions.length > 0,
    'stored rows': anchor !== undefined && reductions.length > 0 && anchors.includes(first),
    'row sums': sums.length > 0,
    'partial reductions': pieces !== undefined,
    totals: totals.length > 0,
    'further contractions': others.some((node) => !pieces?.reductions.includes(node)),
  };
  return (Object.keys(needs) as Need[]).filter((need) => needs[need] || asked.includes(need));
}

/** Whether a product reduces its operand's rows, or its own result, in the same kernel. */
export const reducesRows = ({ reductions = [], pieces, totals = [] }: Group): boolean =>
  reductions.length > 0 || pieces !== undefined || totals.length > 0;

/** What a family is asked for: what a contraction is by its record, else the kind of the group. */
export const kindOf = ({ anchor, kind }: Group): string =>
  anchor ? (opDef(anchor.op).contraction ?? anchor.op) : kind;

function lacks(
  { computes, provides = [], countsRows }: Planning<Plan>,
  group: Group,
  device: DeviceSpec,
): string | undefined {
  const kind = kindOf(group);
  if (!computes.includes(kind)) return `it computes ${computes.join(', ')}, ${labelOf(group.root)} is ${kind}`;
  const missing = needsOf(group).filter((need) => !provides.includes(need));
  if (missing.length) return `it computes no ${missing.join(' and no ')}`;
  return countsRows && device.steady ? 'how it adds up depends on the number of rows' : undefined;
}

/** Why a workgroup of so many invocations cannot be; undefined where it can. */
export function badWorkgroup(invocations: number, device: DeviceSpec): string | undefined {
  if (!isCount(invocations)) return `a workgroup of ${invocations} invocations`;
  const most = Math.min(limit(device, 'maxComputeInvocationsPerWorkgroup'), limit(device, 'maxComputeWorkgroupSizeX'));
  return invocations > most ? `${invocations} invocations: ${device.name} runs at most ${most} together` : undefined;
}

/** Why no subgroup of the device has so many lanes, whatever a kernel asks for; undefined where all have. */
export function badLanes(lanes: number, device: DeviceSpec): string | undefined {
  const size = fixedSubgroupSize(device);
  return lanes === size ? undefined : `${lanes} lanes: a subgroup of ${device.name} has ${size ?? 'no known size'}`;
}

/** Why workgroup memory does not hold so many bytes; undefined where it does. */
export function badMemory(bytes: number, device: DeviceSpec): string | undefined {
  const most = limit(device, 'maxComputeWorkgroupStorageSize');
  return bytes > most ? `${bytes} bytes of workgroup memory: ${device.name} has ${most}` : undefined;
}

/** Why workgroups cannot lie along x, y and z of the grid, a matrix of the batch at each z; undefined where they can. */
export function badGrid({ type: { shape } }: Node, { rows, columns }: Tile, device: DeviceSpec): string | undefined {
  const [m, n] = shape.slice(-2);
  return badDimensions([Math.max(1, Math.ceil(n / columns)), Math.ceil(m / rows), sizeOf(shape.slice(0, -2))], device);
}

/** Why workgroups cannot lie in a line, folded where it is long; undefined where they can. */
export function badLine(elements: number, workgroup: number, device: DeviceSpec): string | undefined {
  return badDimensions(foldGrid(Math.ceil(elements / workgroup)), device);
}

/** Why a device has no such grid; undefined where it has. */
export function badDimensions(grid: readonly number[], device: DeviceSpec): string | undefined {
  const most = limit(device, 'maxComputeWorkgroupsPerDimension');
  return grid.some((size) => size > most)
    ? `a grid of ${grid.join('×')} workgroups: ${device.name} has ${most}`
    : undefined;
}

/**
 * Numbers that an invocation holds at a time, at most. GPUs have 256 registers an invocation; of twice as many most lie in memory, and
 * compilers take minutes over the rest.
 */
const MOST_HELD = 512;

/** Why an invocation cannot hold so many numbers (sums, and the operands of one step) in registers; undefined where it can. */
export const badRegisters = (held: number, most = MOST_HELD): string | undefined =>
  held > most ? `${held} numbers an invocation: registers hold at most ${most}` : undefined;

export const isCount = (n: number): boolean => Number.isInteger(n) && n > 0;

/** Names the first number of a geometry that is no whole number from 1 on; undefined where all are. */
export function badCount(numbers: Readonly<Record<string, number>>): string | undefined {
  const bad = Object.entries(numbers).find(([, n]) => !isCount(n));
  return bad && `${bad[0]} ${bad[1]}`;
}

/** Multiply-adds and loads of a product by tiles. */
export function tiledCost({ anchor }: Group, { rows, columns }: Tile): Cost {
  const { shape } = anchor!.type;
  const [m, n] = shape.slice(-2);
  const [down, across] = [Math.ceil(m / rows), Math.ceil(n / columns)];
  const k = anchor!.inputs[0].type.shape.at(-1)!;
  return { macs: sizeOf(shape.slice(0, -2)) * down * rows * across * columns * k, loads: [across, down] };
}
