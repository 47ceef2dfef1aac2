/**
 * The memory plan: every intermediate value gets a place in an arena for the time it lives. In one dispatch a GPU buffer is
 * either read or written, even at disjoint ranges, so a dispatch's result lies in another arena than all it reads.
 */
import { ALIGNMENT } from '../device.ts';
import { byteSize, type Node } from '../ir/index.ts';
import type { Part } from '../fusion/concats.ts';

/** One dispatch, as memory sees it. */
export interface Step {
  /** Without results that go straight into state. */
  readonly writes: readonly Write[];
  /** Without what results replace. */
  readonly reads: readonly Node[];
}

export interface Write {
  readonly node: Node;
  /** A value read only element by element, whose memory the result takes over. */
  readonly replaces?: Node;
  /** Where it lies in a whole: that has one place, from the first part written to the last read. */
  readonly part?: Part;
}

export interface Place {
  readonly arena: number;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

export interface Lifetime {
  /** Index of the step that writes it. */
  readonly from: number;
  /** Index of the last step that reads it; past the last step for results. */
  readonly to: number;
}

export interface MemoryPlan {
  readonly places: ReadonlyMap<Node, Place>;
  readonly lifetimes: ReadonlyMap<Node, Lifetime>;
  /** Bytes of each arena. */
  readonly arenas: readonly number[];
  readonly peakBytes: number;
  /** The largest sum of values alive in one step; where computing in place needs less, the peak. */
  readonly lowerBoundBytes: number;
}

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** `maxArena`: bytes that an arena grows to; what does not fit goes to another. */
export function planMemory(steps: readonly Step[], results: ReadonlySet<Node>, maxArena = Infinity): MemoryPlan {
  const lifetimes = lifetimesOf(steps, results);
  const owners = ownersOf(steps);
  const groups = groupsOf(lifetimes, owners);
  const enemies = conflicts(steps, owners);
  const live = mostLive(steps, lifetimes);
  const { places: owned, arenas, peakBytes } = bestLayout({ groups, enemies, maxArena }, live);
  // Values in place of others may need less than the sum.
  const lowerBoundBytes = Math.min(live, peakBytes);
  const parts = partsOf(steps);
  const places = new Map(
    [...lifetimes.keys()].map((node): [Node, Place] => {
      const { arena, offset } = owned.get(owners.get(node)!)!;
      return [node, { arena, offset: offset + (parts.get(node)?.offset ?? 0), size: byteSize(node.type) }];
    }),
  );
  return { places, lifetimes, arenas, peakBytes, lowerBoundBytes };
}

/** What is to be placed. */
interface Problem {
  /** Lifetimes of the places. */
  readonly groups: ReadonlyMap<Node, Lifetime>;
  /** What never shares an arena. */
  readonly enemies: ReadonlyMap<Node, ReadonlySet<Node>>;
  readonly maxArena: number;
}

interface Layout {
  readonly places: Map<Node, Place>;
  readonly arenas: readonly number[];
  readonly peakBytes: number;
}

/** Pairs of values looked at in all, for which a layout near the bound is sought: a second's work. */
const MOST_PAIRS = 4_000_000;
const MOST_TRIES = 100;

/**
 * Large values first: small ones fill the gaps. Who is placed first takes arenas from those whose dispatches read it, so two other
 * orders are tried as well: what bars most others first, and what lives longest; and where all leave more than a hundredth of slack,
 * variations of them, the same ones each time.
 */
function bestLayout(problem: Problem, lowerBoundBytes: number): Layout {
  const { groups, enemies } = problem;
  const nodes = [...groups.keys()];
  const bytesOf = (node: Node) => byteSize(node.type);
  const barred = new Map(
    [...enemies].map(([node, others]) => [node, [...others].reduce((sum, n) => sum + bytesOf(n), 0)]),
  );
  const weights: ((node: Node) => number)[] = [
    bytesOf,
    (node) => bytesOf(node) * Math.sqrt(1 + (barred.get(node) ?? 0)),
    (node) => groups.get(node)!.to,
  ];
  // Ties in program order keep the plan deterministic.
  const by = (weight: (node: Node) => number) => {
    const known = new Map(nodes.map((node) => [node, weight(node)]));
    return [...nodes].sort((a, b) => known.get(b)! - known.get(a)! || a.id - b.id);
  };
  const tries = Math.min(MOST_TRIES, Math.floor(MOST_PAIRS / nodes.length ** 2));
  let best = layOut(by(bytesOf), problem);
  for (let i = 1; i < Math.max(tries, weights.length); i++) {
    const slack = best.peakBytes / lowerBoundBytes;
    if (i < weights.length ? slack <= 1 : slack <= 1.01) break;
    const weight = weights[i % weights.length];
    const varied = (node: Node) => weight(node) * (1 + fraction(node.id * MOST_TRIES + i));
    const next = layOut(by(i < weights.length ? weight : varied), problem);
    if (next.peakBytes < best.peakBytes) best = next;
  }
  return best;
}

/** A number in [0, 1) that looks random: the fractional part of multiples of the golden ratio. */
const fraction = (n: number): number => (n * 0.6180339887498949) % 1;

function layOut(order: readonly Node[], { groups, enemies, maxArena }: Problem): Layout {
  const places = new Map<Node, Place>();
  const arenas: number[] = [];
  for (const node of order) {
    const place = bestPlace(node, { places, groups, enemies: enemies.get(node) ?? new Set(), arenas, maxArena });
    places.set(node, place);
    arenas[place.arena] = Math.max(arenas[place.arena] ?? 0, place.offset + align(place.size));
  }
  return { places, arenas, peakBytes: arenas.reduce((sum, bytes) => sum + bytes, 0) };
}

function lifetimesOf(steps: readonly Step[], results: ReadonlySet<Node>): Map<Node, Lifetime> {
  const lifetimes = new Map<Node, Lifetime>();
  steps.forEach((step, i) => {
    for (const { node } of step.writes) lifetimes.set(node, { from: i, to: results.has(node) ? steps.length : i });
    for (const node of [...step.reads, ...step.writes.flatMap(({ replaces }) => replaces ?? [])]) {
      const life = lifetimes.get(node);
      if (life) lifetimes.set(node, { from: life.from, to: Math.max(life.to, i) });
    }
  });
  return lifetimes;
}

/** What each value takes the memory of. */
export const heirsOf = (steps: readonly Step[]): Map<Node, Node> =>
  new Map(steps.flatMap(({ writes }) => writes.flatMap(({ node, replaces }) => (replaces ? [[node, replaces]] : []))));

/** Where parts lie in their wholes. */
export const partsOf = (steps: readonly Step[]): Map<Node, Part> =>
  new Map(steps.flatMap(({ writes }) => writes.flatMap(({ node, part }) => (part ? [[node, part]] : []))));

/** Whose place each value lies in: that of the first of a chain of values, each in place of the one before, or of the whole. */
function ownersOf(steps: readonly Step[]): Map<Node, Node> {
  const owners = new Map<Node, Node>();
  for (const { node, replaces, part } of steps.flatMap(({ writes }) => writes))
    owners.set(node, part?.whole ?? (replaces ? owners.get(replaces)! : node));
  return owners;
}

/** Lifetimes of the places: from the first of the values there to the last. */
function groupsOf(lifetimes: ReadonlyMap<Node, Lifetime>, owners: ReadonlyMap<Node, Node>): Map<Node, Lifetime> {
  const groups = new Map<Node, Lifetime>();
  for (const [node, owner] of owners) {
    const life = lifetimes.get(node)!;
    const known = groups.get(owner) ?? life;
    groups.set(owner, { from: Math.min(known.from, life.from), to: Math.max(known.to, life.to) });
  }
  return groups;
}

/** Places that some dispatch reads while writing the other: never in one arena. */
function conflicts(steps: readonly Step[], owners: ReadonlyMap<Node, Node>): Map<Node, Set<Node>> {
  const enemies = new Map([...owners.values()].map((owner) => [owner, new Set<Node>()] as const));
  for (const step of steps) {
    for (const written of step.writes) {
      const writes = owners.get(written.node)!;
      for (const read of step.reads) {
        const node = owners.get(read);
        if (!node || node === writes) continue;
        enemies.get(writes)!.add(node);
        enemies.get(node)!.add(writes);
      }
    }
  }
  return enemies;
}

/** The plan so far, as one more value sees it. */
interface Surroundings {
  readonly places: ReadonlyMap<Node, Place>;
  /** Lifetimes of the places. */
  readonly groups: ReadonlyMap<Node, Lifetime>;
  /** Values whose arenas are barred. */
  readonly enemies: ReadonlySet<Node>;
  readonly arenas: readonly number[];
  readonly maxArena: number;
}

/** The place that makes the arenas grow least. */
function bestPlace(node: Node, { places, groups, enemies, arenas, maxArena }: Surroundings): Place {
  const size = byteSize(node.type);
  const life = groups.get(node)!;
  const barred = new Set([...enemies].flatMap((n) => places.get(n)?.arena ?? []));
  const alive: Place[][] = [];
  for (const [other, place] of places)
    if (!barred.has(place.arena) && overlap(life, groups.get(other)!)) (alive[place.arena] ??= []).push(place);
  let best: { place: Place; growth: number } | undefined;
  for (let arena = 0; arena <= arenas.length; arena++) {
    if (barred.has(arena)) continue;
    const offset = firstGap(alive[arena] ?? [], align(size));
    if (arena < arenas.length && offset + align(size) > maxArena) continue;
    const growth = Math.max(0, offset + align(size) - (arenas[arena] ?? 0));
    if (!best || growth < best.growth) best = { place: { arena, offset, size }, growth };
  }
  // A new arena bars nobody; it grows by all of the value, so it wins only where the others are barred or full.
  return best!.place;
}

export const overlap = (a: Lifetime, b: Lifetime): boolean => a.from <= b.to && b.from <= a.to;

/** The smallest gap between places that holds `size`, or the end. */
function firstGap(places: readonly Place[], size: number): number {
  const sorted = [...places].sort((a, b) => a.offset - b.offset);
  let end = 0;
  let best: { offset: number; slack: number } | undefined;
  for (const place of sorted) {
    const slack = place.offset - end - size;
    if (slack >= 0 && (!best || slack < best.slack)) best = { offset: end, slack };
    end = Math.max(end, place.offset + align(place.size));
  }
  return best?.offset ?? end;
}

function mostLive(steps: readonly Step[], lifetimes: ReadonlyMap<Node, Lifetime>): number {
  let most = 0;
  for (let i = 0; i < steps.length; i++) {
    let sum = 0;
    for (const [node, life] of lifetimes) if (life.from <= i && i <= life.to) sum += align(byteSize(node.type));
    most = Math.max(most, sum);
  }
  return most;
}
