/**
 * What follows a product or a reduction, element by element, becomes the way its kernel stores: bias, activation, `gate · x +
 * residual`. A group grows from its root to the root's post-dominator, as long as everything on the way is pointwise on the
 * group's domain (or, for rows, a reduction of the same rows); one-to-one views may follow, and a
 * part of a product.
 */
import { formatShape, labelOf, labelsOf, sameShape, type Node, type Shape } from '../../ir/index.ts';
import { boxOf, isBijection, isProduct, opDef, writesSlice } from '../../ops/index.ts';
import { tooManyBuffers } from '../../device.ts';
import { whyNotPlanned } from '../../plans/registry.ts';
import type { FusionContext } from '../context.ts';
import { between } from '../dominance.ts';
import { ownedBy, type Fusion, type FusionGroup } from '../group.ts';
import { MOST_OPS } from '../most-ops.ts';
import { isReduction, sameRows } from '../rows.ts';
import { isStored } from '../storage.ts';

export function fuseEpilogues(fusion: Fusion, context: FusionContext): Fusion {
  const growth = new Growth(context);
  fusion.groups.forEach((group) => growth.grow(group));
  return { ...fusion, groups: growth.groups };
}

/** What a step of growth leads to: the group with more in it, or the group of the same rows that it runs into. */
type Step = { readonly grown: FusionGroup } | { readonly into: Node; readonly path: readonly Node[] };

class Growth {
  /** By the value that each was seeded with. */
  private readonly bySeed = new Map<Node, FusionGroup>();
  /** The seed of the group that computes each value. */
  private readonly owner = new Map<Node, Node>();
  private readonly ipdom: Map<Node, Node>;
  private readonly literals: ReadonlySet<Node>;

  constructor(private readonly context: FusionContext) {
    this.ipdom = context.postDominators();
    this.literals = literalsAmong(context.nodes);
  }

  get groups(): FusionGroup[] {
    return [...this.bySeed.values()];
  }

  /** Grows a seed as far as it goes, unless an earlier group has taken it in. */
  grow(seed: FusionGroup): void {
    const [first] = ownedBy(seed);
    if (this.owner.has(first)) return;
    let group = seed;
    let whole: FusionGroup | undefined;
    for (;;) {
      const step = this.step(group);
      if (!step) return this.put(first, whole && !this.isWorthPart(group, whole) ? whole : group);
      if ('grown' in step && boxOf(step.grown.root)) whole ??= group;
      if ('grown' in step) group = step.grown;
      else return this.put(step.into, merged(this.bySeed.get(step.into)!, group, step.path));
    }
  }

  /** Whether a kernel that stores a part of what it stored before spares another: that of what follows, or of the copy that is a result. */
  private isWorthPart(part: FusionGroup, { epilogue }: FusionGroup): boolean {
    const isMore = (node: Node) => opDef(node.op).kind === 'pointwise' && !epilogue.includes(node);
    return this.context.returned.has(part.root) || part.epilogue.some(isMore);
  }

  private put(seed: Node, group: FusionGroup): void {
    this.bySeed.set(seed, group);
    for (const node of ownedBy(group)) this.owner.set(node, seed);
  }

  private step(group: FusionGroup): Step | undefined {
    const { root } = group;
    const { returned, users, maxReads, remarks } = this.context;
    const stop = (why: string, ...others: Node[]) => void remarks?.missed('fuse-epilogues', [root, ...others], why);
    if (returned.has(root)) return stop(`${labelOf(root)} is a result of the graph`);
    if (isLaidOut(root)) return stop(`${labelOf(root)} lies in memory in an order of its own`);
    const next = this.ipdom.get(root);
    const readers = users.get(root)!;
    if (!next)
      return stop(`no later value depends on all readers of ${labelOf(root)}: ${labelsOf(readers)}`, ...readers);
    if (readers.length === 1 && readers[0] === next && isSeenBehind(next, group) && !this.owner.has(next))
      return { grown: endingIn(next, { ...group, views: [...group.views, next] }, [next]) };
    const path = between(root, next, users);
    const leaves = path.find((node) => returned.has(node) && node !== next);
    if (leaves) return stop(`${labelOf(leaves)}, on the way to ${labelOf(next)}, is a result of the graph`, leaves);
    const laidOut = path.find((node) => isLaidOut(node) && node !== next);
    if (laidOut) return stop(`${labelOf(laidOut)} lies in memory in an order of its own`, laidOut);
    const barrier = weightiest(path.filter((node) => obstacle(group, node) !== undefined));
    if (barrier) return stop(meeting(readers, next) + obstacle(group, barrier)!, barrier, next);
    const owners = new Set(path.flatMap((node) => this.owner.get(node) ?? []));
    const others = [...owners].map((seed) => this.bySeed.get(seed)!);
    const ops = [group, ...others].reduce((sum, other) => sum + ownedBy(other).length, path.length);
    if (ops > MOST_OPS) return stop(`with ${labelOf(next)} the kernel has ${ops} ops`, next);
    if (others.length) {
      const into = this.owner.get(next);
      const target = into && this.bySeed.get(into);
      const rest = path.filter((node) => !this.owner.has(node));
      const apart = keepsApart(group, others, next, target) ?? this.unplanned(merged(target!, group, rest));
      return apart ? stop(apart, next) : { into: into!, path: rest };
    }
    const operands = this.outsideOf([...ownedBy(group), ...path]);
    if (operands > maxReads) return stop(tooManyBuffers(operands, maxReads, `with ${labelOf(next)}`), next);
    const grown = endingIn(next, group, path);
    const unplanned = this.unplanned(grown);
    return unplanned ? stop(unplanned, next) : { grown };
  }

  /** Values from outside that nodes read: each takes a buffer, if need be one of its own. */
  private outsideOf(absorbed: readonly Node[]): number {
    const inside = new Set(absorbed);
    const outside = absorbed.flatMap((node) => node.inputs.filter((n) => !inside.has(n) && !this.literals.has(n)));
    return new Set(outside).size;
  }

  /** Why no kernel computes so many reductions together; undefined where one does. */
  private unplanned(group: FusionGroup): string | undefined {
    return group.kind === 'row' && group.reductions.length > 1 ? whyNotPlanned(group, this.context) : undefined;
  }
}

/** What is computed from numbers and indices alone, and read from no buffer: which column an element is in, say. */
function literalsAmong(nodes: readonly Node[]): Set<Node> {
  const literals = new Set<Node>();
  for (const node of nodes) {
    const { kind } = opDef(node.op);
    const isMade = kind === 'pointwise' || kind === 'view';
    if (kind === 'leaf' ? !isStored(node) : isMade && node.inputs.every((input) => literals.has(input)))
      literals.add(node);
  }
  return literals;
}

/** Whether a kernel can store a view of its result: what has each element once, and of products a part of it. */
const isSeenBehind = (view: Node, { anchor }: FusionGroup): boolean =>
  isBijection(view) || (isProduct(anchor) && boxOf(view) !== undefined);

const isLaidOut = ({ op }: Node): boolean => opDef(op).inMemory ?? false;

/** A group with more values, and the last of them its root. */
function endingIn(root: Node, group: FusionGroup, more: readonly Node[]): FusionGroup {
  return { ...taking(group, more), root, results: [{ node: root, views: group.views }] };
}

/** A group of rows that another one runs into: independent reductions meet, the mean and the dot product of a gradient, say. */
const merged = (target: FusionGroup, group: FusionGroup, path: readonly Node[]): FusionGroup =>
  taking(target, [...ownedBy(group), ...path]);

function taking(group: FusionGroup, more: readonly Node[]): FusionGroup {
  const isOwn = group.kind === 'row' ? isReduction : () => false;
  const inOrder = (list: readonly Node[]) => [...new Set(list)].sort((a, b) => a.id - b.id);
  const reductions = inOrder([...group.reductions, ...more.filter(isOwn)]);
  return { ...group, reductions, epilogue: inOrder([...group.epilogue, ...more.filter((node) => !isOwn(node))]) };
}

/** Why a value cannot be computed as part of storing the group's elements; undefined when it can. */
function obstacle({ kind, root, reductions, views }: FusionGroup, node: Node): string | undefined {
  if (kind !== 'row' || views.length) return notPointwiseOn([root.type.shape], node);
  const [first] = reductions;
  return sameRows(node, first) ? undefined : notPointwiseOn([first.inputs[0].type.shape, first.type.shape], node);
}

function notPointwiseOn(domains: readonly Shape[], node: Node): string | undefined {
  const { kind } = opDef(node.op);
  const { shape } = node.type;
  if (writesSlice(node)) return `${labelOf(node)} writes a slice: its kernel walks over the slice alone`;
  if (kind === 'contract') return `${labelOf(node)} is a contraction (${node.op}): a kernel has one anchor`;
  if (kind === 'reduce')
    return `${labelOf(node)} reduces ${formatShape(node.inputs[0].type.shape)}, which are not this kernel's rows`;
  if (kind === 'view')
    return `${labelOf(node)} is a view (${node.op}): what a kernel computes is viewed only as a whole, by its one reader`;
  if (domains.some((domain) => sameShape(shape, domain))) return undefined;
  return `${labelOf(node)} has shape ${formatShape(shape)}, the kernel computes ${domains.map(formatShape).join(' and ')}`;
}

/** Of several obstacles the one to tell: another anchor rather than a view before it. */
const weightiest = (obstacles: readonly Node[]): Node | undefined =>
  obstacles.find((node) => opDef(node.op).kind === 'contract') ?? obstacles[0];

/** Several readers: where they meet, between which and the root everything must fit in the kernel. */
const meeting = (readers: readonly Node[], next: Node): string =>
  readers.length > 1 ? `its ${readers.length} readers meet in ${labelOf(next)}, and before that ` : '';

/** Why a group that runs into others cannot become one kernel with the one that `next` is in. */
function keepsApart(
  group: FusionGroup,
  others: readonly FusionGroup[],
  next: Node,
  target: FusionGroup | undefined,
): string | undefined {
  if (others.length !== 1 || !target || !others.includes(target))
    return `on the way to ${labelOf(next)} lie values of another kernel: ${labelsOf(others.map(({ root }) => root))}`;
  const anchors = [group, target].map(({ kind }) => (kind === 'row' ? 'reductions' : 'a contraction'));
  if (group.kind !== 'row' || target.kind !== 'row')
    return `${labelOf(next)} is in a kernel around ${anchors[1]} and this one is around ${anchors[0]}: a kernel has one anchor`;
  // Beyond the target's views a row is no longer the row that the kernel has reduced.
  if (group.views.length || !target.views.every((view) => next.id < view.id))
    return `a view lies between the rows of ${labelOf(group.root)} and ${labelOf(next)}: they are no longer the same rows`;
  if (!sameRows(group.reductions[0], target.reductions[0]))
    return `${labelOf(group.reductions[0])} and ${labelOf(target.reductions[0])} reduce different rows`;
  return undefined;
}
