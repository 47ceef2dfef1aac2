/**
 * Kernels with several results. What reads a kernel's result element by element (or, after a reduction, row by row) is
 * computed where that result is, and written beside it: the moments, the weight and its average beside the gradient; gelu(x)
 * beside x. Reductions of the same rows share the pass over them. A value that nobody else reads is then not written at all.
 *
 * Two kernels become one (union.ts) when no third one lies between them and the device binds all that they read and write.
 */
import { labelOf, labelsOf, sizeOf, type Node, type Remarks, type Update } from '../ir/index.ts';
import { shareScores } from '../ops/index.ts';
import { sharing } from '../rewrite/packs.ts';
import { operandOf, remarkApart, rowsUnion } from './absorb-rows.ts';
import type { Bundles } from './bundles.ts';
import { whyNotComputable } from './computable.ts';
import { tooManyBuffers, type DeviceSpec } from '../device.ts';
import { copiesIn, membersOf, readsOf } from './inside.ts';
import { MOST_OPS } from './most-ops.ts';
import { resultsOf, type Draft } from './regions.ts';
import { isStored } from './storage.ts';
import { fullShape, sameRows, sumUnion, union } from './union.ts';
import { withParts, type Wholes } from './wholes.ts';

export interface Joining {
  /** Values in memory. */
  readonly buffers: ReadonlySet<Node>;
  /** Those of them that lie in memory as parts that kernels write (wholes.ts). */
  readonly wholes: Wholes;
  readonly returned: ReadonlySet<Node>;
  readonly updates: readonly Update[];
  /** State whose new values are known to need memory of their own. */
  readonly copied?: ReadonlySet<Node>;
  /** Values that two kernels are kept apart by (crowded.ts). */
  readonly cuts?: ReadonlySet<Node>;
  readonly bundles: Bundles;
  readonly device: DeviceSpec;
  /** Products compute the row statistics of their left operand (absorb-rows.ts). */
  readonly rowStatistics: boolean;
  /** Buffers a kernel may read. */
  readonly maxReads: number;
  readonly remarks?: Remarks;
}

/** Joins what can be one kernel. */
export function joinDrafts(drafts: readonly Draft[], joining: Joining): Draft[] {
  const kernels = new Kernels(drafts, joining);
  const inOrder = [...drafts].sort((a, b) => a.root.id - b.root.id);
  // A kernel and those that it reads from: the last first, since what lies between two keeps them apart.
  for (const draft of inOrder) {
    for (let joined: Draft | undefined = draft; joined;) {
      const consumer: Draft = joined;
      const before = kernels.producersOf(consumer).sort((a, b) => b.root.id - a.root.id);
      joined = firstOf(before, (producer) => kernels.join(producer, consumer));
    }
  }
  for (const draft of inOrder) if (draft.kind === 'matmul') kernels.joinScores(draft);
  for (const draft of [...kernels.all]) if (draft.anchor?.op === 'matmul') kernels.joinSums(draft);
  // Kernels that walk over the same values.
  for (const draft of [...kernels.all].sort((a, b) => a.root.id - b.root.id)) {
    if (draft.kind === 'matmul' || !kernels.all.has(draft)) continue;
    for (let joined: Draft | undefined = draft; joined;) {
      const one: Draft = joined;
      const others = [...kernels.besides(one), ...kernels.near(one)].sort((a, b) => a.root.id - b.root.id);
      joined = firstOf(others, (other) => kernels.joinInOrder(one, other));
    }
  }
  if (joining.rowStatistics) {
    const products = [...kernels.all].filter(({ anchor }) => anchor?.op === 'matmul');
    for (const draft of products.sort((a, b) => a.root.id - b.root.id)) kernels.joinRows(draft);
  }
  return [...kernels.all];
}

function firstOf<T, R>(list: readonly T[], f: (x: T) => R | undefined): R | undefined {
  for (const x of list) {
    const found = f(x);
    if (found !== undefined) return found;
  }
  return undefined;
}

class Kernels {
  readonly all: Set<Draft>;
  private readonly joining: Joining;
  /** The kernel that computes each stored value. */
  private readonly writer = new Map<Node, Draft>();
  private readonly reads = new Map<Draft, ReadonlySet<Node>>();
  private readonly readers = new Map<Node, Set<Draft>>();
  private readonly stateOf: ReadonlyMap<Node, Node>;
  /** Places in program order. */
  private readonly place: Map<Draft, number>;

  constructor(drafts: readonly Draft[], joining: Joining) {
    this.joining = joining;
    this.all = new Set(drafts);
    const inPlace = joining.updates.filter(({ state }) => !joining.copied?.has(state));
    this.stateOf = new Map(inPlace.map(({ state, node }) => [node, state]));
    drafts.forEach((draft) => this.add(draft));
    this.place = new Map([...drafts].sort((a, b) => a.root.id - b.root.id).map((draft, i) => [draft, i]));
  }

  producersOf(draft: Draft): Draft[] {
    const writers = [...this.reads.get(draft)!].flatMap((node) => this.writer.get(node) ?? []);
    return [...new Set(writers)];
  }

  /** The nearest kernels of the same kind that read a value of the kernel's whole domain that it reads too. */
  besides(draft: Draft): Draft[] {
    const size = sizeOf(fullShape(draft));
    const shared = [...this.reads.get(draft)!].filter((node) => sizeOf(node.type.shape) === size);
    const others = new Set(shared.flatMap((node) => [...(this.readers.get(node) ?? [])]));
    const place = this.place.get(draft)!;
    const distance = (other: Draft) => Math.abs(this.place.get(other)! - place);
    return [...others]
      .filter((other) => other !== draft && other.kind === draft.kind)
      .sort((a, b) => distance(a) - distance(b))
      .slice(0, MOST_BESIDES);
  }

  /**
   * Sums over the same axes of the same shape that are due at about the same time, whatever they read: gradients of a shift, a
   * scale and a gate, say. Their results are small, and wait for one another at little cost.
   */
  near(draft: Draft): Draft[] {
    if (draft.kind !== 'row' || !isSmall(draft)) return [];
    const place = this.place.get(draft)!;
    const others = [...this.all].filter((other) => {
      const distance = Math.abs(this.place.get(other)! - place);
      return other !== draft && other.kind === 'row' && distance <= NEAR && isSmall(other);
    });
    return others.filter((other) => sameRows(other.reductions[0], draft.reductions[0]));
  }

  /** One kernel for both; undefined where they stay apart. */
  join(first: Draft, second: Draft): Draft | undefined {
    const joined = union(first, second, this.joining.buffers);
    if (!joined) return undefined;
    const why = this.obstacle(first, second, joined);
    if (!why) return this.replace(first, second, joined);
    this.joining.remarks?.missed('join', [second.root, first.root], why);
    return undefined;
  }

  private replace(first: Draft, second: Draft, joined: Draft): Draft {
    const nodes = [first.root, second.root];
    this.joining.remarks?.applied('join', nodes, `${labelsOf(nodes)} are computed together and written side by side`);
    for (const draft of [first, second]) this.remove(draft);
    this.all.add(joined);
    this.place.set(joined, Math.max(this.place.get(first)!, this.place.get(second)!));
    this.add(joined);
    return joined;
  }

  /** Contractions over the same scores of an attention. */
  joinScores(draft: Draft): void {
    if (!this.all.has(draft)) return;
    for (const other of [...this.all].sort((a, b) => a.root.id - b.root.id)) {
      const together = other !== draft && other.anchor && shareScores(draft.anchor!, other.anchor);
      const joined = together ? this.join(draft, other) : undefined;
      if (joined) return this.joinScores(joined);
    }
  }

  /** A product and what is computed from the sums of its left operand's rows. */
  joinSums(draft: Draft): void {
    if (!this.all.has(draft)) return;
    const left = new Set([...this.reads.get(draft)!].flatMap((node) => [...(this.readers.get(node) ?? [])]));
    for (const row of [...left].sort((a, b) => a.root.id - b.root.id)) {
      const joined = sumUnion(draft, row) && this.join(draft, row);
      if (joined) return this.joinSums(joined);
    }
  }

  /** A product and the rows of its left operand, which others read too. */
  joinRows(product: Draft): void {
    for (const row of this.producersOf(product)) {
      const operand = operandOf(row, product);
      if (!operand) continue;
      const joined = rowsUnion(row, product, operand, this.joining);
      const apart = typeof joined === 'string' ? joined : this.obstacle(row, product, joined);
      if (apart === undefined && typeof joined !== 'string') return void this.replace(row, product, joined);
      remarkApart(operand.node, row, apart!, this.joining.remarks);
    }
  }

  /** The same for two of which either may read from the other. */
  joinInOrder(one: Draft, other: Draft): Draft | undefined {
    return this.producersOf(one).includes(other) ? this.join(other, one) : this.join(one, other);
  }

  private obstacle(first: Draft, second: Draft, joined: Draft): string | undefined {
    const early = this.runsEarly(first, second);
    if (early) return `${labelOf(early.root)} is computed again later (compiler/recompute)`;
    const cut = resultsOf(first).find(({ node }) => this.joining.cuts?.has(node))?.node;
    if (cut) return `${labelOf(cut)} is stored so that kernels bind fewer buffers`;
    const apart = whyNotComputable({ ...joined, results: resultsOf(joined) }, this.isInMemory);
    if (apart) return apart;
    const ops = membersOf(joined, this.joining.buffers).size;
    if (ops > MOST_OPS) return `together they have ${ops} ops`;
    const torn = this.tornBy(joined);
    if (torn) return `they read something of ${labelOf(torn)} and write a part of it`;
    const bound = this.bindings(first, second, joined);
    const most = this.joining.maxReads + 1;
    if (bound > most) return tooManyBuffers(bound - 1, most - 1, `with ${labelOf(second.root)}`);
    const between = this.between(first, second) ?? this.between(second, first);
    return between && `${labelOf(between.root)} lies between ${labelOf(first.root)} and ${labelOf(second.root)}`;
  }

  private readonly isInMemory = (node: Node): boolean => isStored(node) || this.joining.buffers.has(node);

  /** The one of two that would run with the other before it is wanted: a copy of what is computed twice. */
  private runsEarly(first: Draft, second: Draft): Draft | undefined {
    const [before, after] = [first, second].map((draft) => copiesIn(draft, this.joining.buffers));
    if ([...after].some((copy) => !before.has(copy))) return second;
    const isWanted = this.producersOf(second).includes(first);
    return !isWanted && [...before].some((copy) => !after.has(copy)) ? first : undefined;
  }

  /** A whole of which a kernel would read something and write a part. */
  private tornBy(draft: Draft): Node | undefined {
    const { buffers, wholes } = this.joining;
    const read = withParts(readsOf(draft, buffers), wholes);
    const written = new Set(resultsOf(draft).map(({ node }) => node));
    const isTorn = (parts: readonly Node[]) => [read, written].every((set) => parts.some((part) => set.has(part)));
    return [...wholes].find(([, parts]) => isTorn(parts))?.[0];
  }

  /** Buffers that the joined kernel binds. New values of state are taken to be written over the old ones that it reads. */
  private bindings(first: Draft, second: Draft, joined: Draft): number {
    const reads = readsOf(joined, this.joining.buffers);
    const isRead = (node: Node) => [...(this.readers.get(node) ?? [])].some((d) => d !== first && d !== second);
    const written = resultsOf(joined).filter(({ node }) => this.joining.returned.has(node) || isRead(node));
    const home = (node: Node) => {
      const state = this.stateOf.get(node)!;
      return reads.has(state) && !this.isReadAfter(state, first, second) ? state : node;
    };
    return new Set([...reads, ...written.map(({ node }) => home(node))].map((node) => this.bufferOf(node))).size;
  }

  /** What is bound for a value: states of a bundle share a buffer. */
  private bufferOf(node: Node): unknown {
    const shelf = node.op === 'state' ? this.joining.bundles.get(String(node.attrs.name)) : undefined;
    return shelf?.states ?? node;
  }

  /** Whether a kernel reads the state that can only run after one of the two: the old value then has to stay. */
  private isReadAfter(state: Node, first: Draft, second: Draft): boolean {
    const stack = [...this.readers.get(state)!].filter((draft) => draft !== first && draft !== second);
    const seen = new Set(stack);
    for (let draft = stack.pop(); draft; draft = stack.pop()) {
      for (const before of this.producersOf(draft)) {
        if (before === first || before === second) return true;
        if (!seen.has(before)) stack.push(before);
        seen.add(before);
      }
    }
    return false;
  }

  /** A kernel on the way from one to the other, besides the direct one. */
  private between(from: Draft, to: Draft): Draft | undefined {
    const seen = new Set<Draft>([to]);
    const stack = this.producersOf(to).filter((draft) => draft !== from);
    while (stack.length) {
      const draft = stack.pop()!;
      if (seen.has(draft)) continue;
      seen.add(draft);
      const before = this.producersOf(draft);
      if (before.includes(from)) return draft;
      stack.push(...before);
    }
    return undefined;
  }

  private add(draft: Draft): void {
    for (const { node } of resultsOf(draft)) this.writer.set(node, draft);
    const reads = withParts(readsOf(draft, this.joining.buffers), this.joining.wholes);
    this.reads.set(draft, reads);
    for (const node of [...reads].flatMap(sharing))
      this.readers.set(node, (this.readers.get(node) ?? new Set()).add(draft));
  }

  private remove(draft: Draft): void {
    this.all.delete(draft);
    for (const node of [...this.reads.get(draft)!].flatMap(sharing)) this.readers.get(node)!.delete(draft);
    this.reads.delete(draft);
  }
}

/** How many kernels that read the same are tried: a few of the nearest fill what a device binds. */
const MOST_BESIDES = 32;
/** How many kernels may lie between sums that wait for each other. */
const NEAR = 8;
/** A row's results are small beside the row. */
const FEW_RESULTS = 1 / 16;

const isSmall = (draft: Draft): boolean =>
  resultsOf(draft).every(({ node }) => sizeOf(node.type.shape) <= FEW_RESULTS * sizeOf(fullShape(draft)));
