/**
 * Merging groups: two become one (union.ts) when no third one lies between them, one kernel can compute all that both give, and
 * the device binds all that they read and write. A value that nobody else reads is then not written at all.
 */
import { labelOf, labelsOf, type Node } from '../ir/index.ts';
import { writesSlice } from '../ops/index.ts';
import { sharing } from '../rewrite/packs.ts';
import { tooManyBuffers } from '../device.ts';
import { isRejected } from '../plans/family.ts';
import { whyNotComputable } from './computable.ts';
import { tornBy, withParts } from './concats.ts';
import type { FusionContext } from './context.ts';
import { byRoot, givenBy, type Fusion, type FusionGroup } from './group.ts';
import { MOST_OPS } from './most-ops.ts';
import { replanned } from './planned.ts';
import { copiesIn, membersOf, readsOf } from './slice.ts';
import { isStored } from './storage.ts';
import { union } from './union.ts';

/** The groups of a fusion, while a pass merges some of them. */
export class Merging {
  private readonly all: Set<FusionGroup>;
  /** The group that computes each stored value. */
  private readonly writer = new Map<Node, FusionGroup>();
  private readonly reads = new Map<FusionGroup, ReadonlySet<Node>>();
  private readonly readers = new Map<Node, Set<FusionGroup>>();
  private readonly stateOf: ReadonlyMap<Node, Node>;
  /** Places of all that groups give, in program order. */
  private readonly place: ReadonlyMap<Node, number>;

  constructor(
    private readonly fusion: Fusion,
    private readonly context: FusionContext,
  ) {
    this.all = new Set(fusion.groups);
    const inPlace = fusion.graph.updates.filter(({ state }) => !context.noAlias.has(state));
    this.stateOf = new Map(inPlace.map(({ state, node }) => [node, state]));
    fusion.groups.forEach((group) => this.add(group));
    const given = [...givenBy(fusion.groups)].sort((a, b) => a.id - b.id);
    this.place = new Map(given.map((node, i) => [node, i]));
  }

  get merged(): Fusion {
    return { ...this.fusion, groups: [...this.all] };
  }

  has(group: FusionGroup): boolean {
    return this.all.has(group);
  }

  /** The groups as they are now, in program order. */
  inOrder(): FusionGroup[] {
    return [...this.all].sort(byRoot);
  }

  producersOf(group: FusionGroup): FusionGroup[] {
    const writers = [...this.reads.get(group)!].flatMap((node) => this.writer.get(node) ?? []);
    return [...new Set(writers)];
  }

  /** Those that read what a group gives. */
  consumersOf({ results }: FusionGroup): FusionGroup[] {
    return [...new Set(results.flatMap(({ node }) => [...(this.readers.get(node) ?? [])]))];
  }

  /** Those that read one of the values, itself among them. */
  readersOf(group: FusionGroup, which: (node: Node) => boolean = () => true): Set<FusionGroup> {
    const read = [...this.reads.get(group)!].filter(which);
    return new Set(read.flatMap((node) => [...(this.readers.get(node) ?? [])]));
  }

  /** How many values are given between the last ones of two groups. */
  distance(a: FusionGroup, b: FusionGroup): number {
    const placeOf = ({ results }: FusionGroup) => Math.max(...results.map(({ node }) => this.place.get(node)!));
    return Math.abs(placeOf(a) - placeOf(b));
  }

  /** One group for two; undefined where they stay apart. */
  merge(first: FusionGroup, second: FusionGroup): FusionGroup | undefined {
    const merged = union(first, second, this.fusion.stored);
    if (!merged) return undefined;
    const whole = this.planned(first, second, merged);
    if (typeof whole !== 'string') return this.replace(first, second, whole);
    this.context.remarks?.missed('merge', [second.root, first.root], whole);
    return undefined;
  }

  /** The same for two of which either may read from the other. */
  mergeInOrder(one: FusionGroup, other: FusionGroup): FusionGroup | undefined {
    return this.producersOf(one).includes(other) ? this.merge(other, one) : this.merge(one, other);
  }

  replace(first: FusionGroup, second: FusionGroup, merged: FusionGroup): FusionGroup {
    const nodes = [first.root, second.root];
    this.context.remarks?.applied('merge', nodes, `${labelsOf(nodes)} are computed together and written side by side`);
    for (const group of [first, second]) this.remove(group);
    this.all.add(merged);
    this.add(merged);
    return merged;
  }

  /** What two are as one, with its plan; or why they stay two. */
  planned(first: FusionGroup, second: FusionGroup, merged: FusionGroup): FusionGroup | string {
    const why = this.obstacle(first, second, merged);
    if (why) return why;
    const whole = replanned(merged, this.fusion.stored, this.context);
    return isRejected(whole) ? `no kernel computes ${labelOf(merged.root)} so: ${whole.rejected}` : whole;
  }

  /** Why two do not become `merged`, by whatever plan; undefined where they may. */
  private obstacle(first: FusionGroup, second: FusionGroup, merged: FusionGroup): string | undefined {
    const { stored, concats } = this.fusion;
    const early = this.runsEarly(first, second);
    if (early) return `${labelOf(early.root)} is computed again later (compiler/recompute)`;
    const cut = first.results.find(({ node }) => this.context.cuts.has(node))?.node;
    if (cut) return `${labelOf(cut)} is stored so that kernels bind fewer buffers`;
    const slice = [first.root, second.root].find(writesSlice);
    if (slice) return `${labelOf(slice)} is written slice by slice`;
    const apart = whyNotComputable(merged, (node) => isStored(node) || stored.has(node));
    if (apart) return apart;
    const ops = membersOf(merged, stored).size;
    if (ops > MOST_OPS) return `together they have ${ops} ops`;
    const [torn] = tornBy(merged, stored, concats);
    if (torn) return `they read something of ${labelOf(torn)} and write a part of it`;
    const bound = this.bindings(first, second, merged);
    const most = this.context.maxReads + 1;
    if (bound > most) return tooManyBuffers(bound - 1, most - 1, `with ${labelOf(second.root)}`);
    const between = this.between(first, second) ?? this.between(second, first);
    return between && `${labelOf(between.root)} lies between ${labelOf(first.root)} and ${labelOf(second.root)}`;
  }

  /** The one of two that would run with the other before it is wanted: a copy of what is computed twice. */
  private runsEarly(first: FusionGroup, second: FusionGroup): FusionGroup | undefined {
    const [before, after] = [first, second].map((group) => copiesIn(group, this.fusion.stored));
    if ([...after].some((copy) => !before.has(copy))) return second;
    const isWanted = this.producersOf(second).includes(first);
    return !isWanted && [...before].some((copy) => !after.has(copy)) ? first : undefined;
  }

  /** Buffers that the merged kernel binds. New values of state are taken to be written over the old ones that it reads. */
  private bindings(first: FusionGroup, second: FusionGroup, merged: FusionGroup): number {
    const reads = readsOf(merged, this.fusion.stored);
    const isRead = (node: Node) => [...(this.readers.get(node) ?? [])].some((d) => d !== first && d !== second);
    const written = merged.results.filter(({ node }) => this.context.given.has(node) || isRead(node));
    const home = (node: Node) => {
      const state = this.stateOf.get(node)!;
      return reads.has(state) && !this.isReadAfter(state, first, second) ? state : node;
    };
    return new Set([...reads, ...written.map(({ node }) => home(node))].map((node) => this.bufferOf(node))).size;
  }

  /** What is bound for a value: states of a bundle share a buffer. */
  private bufferOf(node: Node): unknown {
    const shelf = node.op === 'state' ? this.context.bundles.get(String(node.attrs.name)) : undefined;
    return shelf?.states ?? node;
  }

  /** Whether a kernel reads the state that can only run after one of the two: the old value then has to stay. */
  private isReadAfter(state: Node, first: FusionGroup, second: FusionGroup): boolean {
    const others = [...this.readers.get(state)!].filter((group) => group !== first && group !== second);
    return this.upstream(others, (before) => before === first || before === second) !== undefined;
  }

  /** A group on the way from one to the other, besides the direct one. */
  private between(from: FusionGroup, to: FusionGroup): FusionGroup | undefined {
    const others = this.producersOf(to).filter((group) => group !== from);
    return this.upstream(others, (before) => before === from);
  }

  /** The first of some groups, and of those that they are computed from, that reads from a group that is looked for. */
  private upstream(groups: readonly FusionGroup[], isFound: (group: FusionGroup) => boolean): FusionGroup | undefined {
    const stack = [...groups];
    const seen = new Set<FusionGroup>();
    for (let group = stack.pop(); group; group = stack.pop()) {
      if (seen.has(group)) continue;
      seen.add(group);
      const before = this.producersOf(group);
      if (before.some(isFound)) return group;
      stack.push(...before);
    }
    return undefined;
  }

  private add(group: FusionGroup): void {
    for (const { node } of group.results) this.writer.set(node, group);
    const reads = withParts(readsOf(group, this.fusion.stored), this.fusion.concats);
    this.reads.set(group, reads);
    for (const node of [...reads].flatMap(sharing))
      this.readers.set(node, (this.readers.get(node) ?? new Set()).add(group));
  }

  private remove(group: FusionGroup): void {
    this.all.delete(group);
    for (const node of [...this.reads.get(group)!].flatMap(sharing)) this.readers.get(node)!.delete(group);
    this.reads.delete(group);
  }
}

/** What a function finds of a list, the first that it finds. */
export function firstOf<T, R>(list: readonly T[], find: (x: T) => R | undefined): R | undefined {
  for (const x of list) {
    const found = find(x);
    if (found !== undefined) return found;
  }
  return undefined;
}
