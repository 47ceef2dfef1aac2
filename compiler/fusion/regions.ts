/**
 * Regions: which values share a kernel. An anchor (matrix product, row reductions, or none) absorbs what follows it as
 * the way it stores, and what precedes it as the way it loads. Both are pointwise and view ops, reached by index maps.
 *
 * Following: from the anchor to its post-dominator, as long as everything on the way is pointwise on the anchor's domain
 * (or, for row reductions, a reduction of the same rows); one-to-one views may follow. Preceding: whatever is not worth a
 * buffer of its own (cost.ts) is computed where it is read.
 */
import {
  formatShape,
  labelOf,
  labelsOf,
  nodesOf,
  results,
  sameShape,
  usersOf,
  type Graph,
  type Node,
  type Remarks,
  type Shape,
  type TensorType,
} from '../ir/index.ts';
import { attrList, opDef } from '../ops/index.ts';
import { NO_BUNDLES, type Bundles } from './bundles.ts';
import { limit, tooManyBuffers, type DeviceSpec } from '../device.ts';
import { between, postDominators } from './dominance.ts';
import { absorbPieces } from './absorb-pieces.ts';
import { absorbRows, type Absorbed } from './absorb-rows.ts';
import { chooseStored } from './cost.ts';
import { finish } from './finish.ts';
import { inOrder } from './program-order.ts';
import { isStored } from './storage.ts';
import { writtenBy } from './inside.ts';
import { joinDrafts } from './join.ts';
import { MOST_OPS } from './most-ops.ts';
import type { Tile } from '../plans/family.ts';
import { sameRows } from './union.ts';
import { leaveWidening } from './widening.ts';
import { typeOfSpan, type Span } from './windows.ts';

/** A value that a kernel writes to memory. */
export interface Result {
  readonly node: Node;
  /** One-to-one views between the kernel's domain and the value, in order. */
  readonly views: readonly Node[];
  /**
   * What it is computed from, where that is not the main anchor: another contraction on whose domain it is, one of the kernel's
   * `sums` or `pieces`, or the first of its `reductions`, for rows of the left operand and what there is one of in each.
   */
  readonly anchor?: Node;
}

/** Several states of a bundle, bound as one buffer (fusion/bundles.ts). */
export interface Bound {
  /** Names of all states of the bundle. */
  readonly states: readonly string[];
  /** The state that each value read or written there is or becomes, and the elements before it. */
  readonly parts: ReadonlyMap<Node, { readonly state: string; readonly offset: number }>;
  /** Elements of the bundle. */
  readonly elements: number;
  readonly isWritten: boolean;
}

export interface Region {
  readonly kind: 'map' | 'row' | 'matmul';
  /** What the kernel is for: it gives the domain and the name. Written to memory where somebody reads it. */
  readonly root: Node;
  /** What the kernel writes, in topological order (join.ts). */
  readonly results: readonly Result[];
  /** `matmul`: the product. */
  readonly anchor?: Node;
  /**
   * In topological order, all reducing the same axes of the same shape. `row`: what the kernel is for. `matmul`: statistics
   * of the left operand's rows (a layer norm before a linear), computed in the kernel before the product.
   */
  readonly reductions: readonly Node[];
  /** `matmul`: sums of the left operand's rows that results are computed from (row-sums.ts). */
  readonly sums: readonly Node[];
  /** `matmul`: reductions of pieces of the root that lie in a tile, and totals of others' pieces (pieces.ts). */
  readonly pieces?: Pieces;
  readonly totals: readonly Node[];
  /** One-to-one views between the anchor's domain and the root, in order. */
  readonly views: readonly Node[];
  /** Values read from memory, in order of first use. */
  readonly reads: readonly Node[];
  /** Of values among `reads` of which it reads a part only, what it binds (windows.ts). */
  readonly spans: ReadonlyMap<Node, Span>;
  /** Everything computed in the kernel, in topological order. */
  readonly members: readonly Node[];
  /** Values that results are computed in place of: read from the result's buffer, and not among `reads` (memory/reuse.ts). */
  readonly replaces: ReadonlyMap<Node, Node>;
  /** Bundles of state that it binds, with some of `reads` and `results` in them. */
  readonly bundles: readonly Bound[];
}

/** What a kernel binds, in order: values with a buffer of their own, then bundles. */
export function bindingsOf({ reads, results, bundles }: Region): (Node | Bound)[] {
  const isAlone = (node: Node) => !bundles.some(({ parts }) => parts.has(node));
  return [...[...reads, ...results.map(({ node }) => node)].filter(isAlone), ...bundles];
}

export const isBundle = (binding: Node | Bound): binding is Bound => 'parts' in binding;

/** Reductions of equal pieces of a product's result, and what part of a tile a piece takes. */
export interface Pieces extends Tile {
  readonly reductions: readonly Node[];
}

export interface Draft {
  kind: Region['kind'];
  root: Node;
  anchor?: Node;
  reductions: Node[];
  sums?: Node[];
  pieces?: Pieces;
  totals?: Node[];
  views: Node[];
  /** What else the kernel can write. */
  more: Result[];
}

/** All that a draft computes for others, the root first. */
export const resultsOf = ({ root, views, more }: Draft): Result[] => [{ node: root, views }, ...more];

/** Shape of the kernel's domain that a result is computed on: its own before its views. */
export const domainOf = ({ node, views }: Result): Shape => (views[0]?.inputs[0] ?? node).type.shape;

/** Where in the program a result is computed: its views may come later, where others want it so. */
export const placeInProgram = ({ node, views }: Result): number => (views[0]?.inputs[0] ?? node).id;

/** Whether two results are computed at the same index of the same domain. */
export const samePlaces = (a: Omit<Result, 'node'>, b: Omit<Result, 'node'>): boolean =>
  a.anchor === b.anchor && a.views.length === b.views.length && a.views.every((view, i) => view === b.views[i]);

/** All values that a kernel reads from memory, those that it overwrites last. */
export const operandsOf = ({ reads, replaces }: Region): Node[] => [...reads, ...replaces.values()];

/** Type of what a kernel binds of a value. */
export const boundType = (node: Node, { spans }: Region): TensorType => typeOfSpan(node, spans.get(node));

const isBijection = (node: Node) => node.op === 'reshape' || node.op === 'permute';

/** What regions may take in beyond pointwise ops and views. */
export interface Fusion {
  /** Kernels write several results (join.ts). */
  readonly severalResults?: boolean;
  /** Products compute the row statistics of their left operand (absorb-rows.ts), where the device gains by it. */
  readonly rowStatistics?: boolean;
  /** State whose new values no kernel can write over the old ones (memory/reuse.ts). */
  readonly copied?: ReadonlySet<Node>;
  readonly bundles?: Bundles;
  /** Values that are stored so that kernels bind fewer (crowded.ts). */
  readonly cuts?: ReadonlySet<Node>;
  /** Concatenations whose parts no kernels can write into their places (wholes.ts). */
  readonly torn?: ReadonlySet<Node>;
}

/** The schedule: regions in an order that respects their reads. */
export function formRegions(
  graph: Graph,
  device: DeviceSpec,
  { rowStatistics = true, severalResults = true, copied, torn, cuts, bundles = NO_BUNDLES }: Fusion = {},
  remarks?: Remarks,
): Region[] {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const given = new Set(results(graph).filter((node) => !isStored(node)));
  const returned = new Set([...given, ...(cuts ?? [])]);
  const maxReads = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const flow: Flow = {
    users,
    returned,
    ipdom: postDominators(nodes, returned),
    maxReads,
    owner: new Map(),
    sizes: new Map(),
    remarks,
  };
  for (const node of nodes) {
    if (flow.owner.has(node)) continue;
    const kind = opDef(node.op).kind;
    if (kind === 'contract') growProduct(node, flow);
    if (kind === 'reduce') growRows(node, flow);
  }
  leaveWidening(flow);
  const drafts = new Map([...flow.owner.values()].map((draft) => [draft.root, draft]));
  const absorbed: Absorbed = rowStatistics ? absorbRows(drafts, flow, device, remarks) : new Map();
  const pieces = rowStatistics ? absorbPieces(drafts, flow, device) : new Set<Node>();
  const anchored = new Set([...drafts.keys(), ...pieces]);
  const choice = { nodes, users, returned, anchored, owned: flow.owner, absorbed, maxReads, remarks };
  const { buffers, wholes } = chooseStored(choice, limit(device, 'maxStorageBufferBindingSize'), torn);
  for (const node of buffers) {
    if (!drafts.has(node) && !wholes.has(node) && !pieces.has(node))
      drafts.set(node, { kind: 'map', root: node, reductions: [], views: [], more: [] });
  }
  const kernels = severalResults
    ? joinDrafts([...drafts.values()], {
        buffers,
        wholes,
        returned: given,
        updates: graph.updates,
        copied,
        cuts,
        bundles,
        device,
        rowStatistics,
        maxReads,
        remarks,
      })
    : [...drafts.values()];
  const written = writtenBy(kernels, { buffers, wholes, returned: given });
  const regions = kernels.map((draft) => finish(draft, written, flow));
  return inOrder(regions, graph.updates);
}

interface Flow {
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
  readonly ipdom: Map<Node, Node>;
  /** Buffers a kernel may read. */
  readonly maxReads: number;
  /** The draft that computes each absorbed node. */
  readonly owner: Map<Node, Draft>;
  /** How many nodes each draft has absorbed. */
  readonly sizes: Map<Draft, number>;
  readonly remarks?: Remarks;
}

function growProduct(anchor: Node, flow: Flow): void {
  const draft: Draft = { kind: 'matmul', root: anchor, anchor, reductions: [], views: [], more: [] };
  const absorbed = [anchor];
  follow(draft, absorbed, flow, (node, domain) => notPointwiseOn([domain], node));
  own(draft, absorbed, flow);
}

function own(draft: Draft, absorbed: readonly Node[], { owner, sizes }: Flow): void {
  for (const node of absorbed) owner.set(node, draft);
  sizes.set(draft, (sizes.get(draft) ?? 0) + absorbed.length);
}

function growRows(first: Node, flow: Flow): void {
  const full = first.inputs[0].type.shape;
  const reduced = first.type.shape;
  const draft: Draft = { kind: 'row', root: first, reductions: [first], views: [], more: [] };
  const absorbed = [first];
  const joined = follow(draft, absorbed, flow, (node, domain) => {
    if (draft.views.length) return notPointwiseOn([domain], node);
    return sameRows(node, first) ? undefined : notPointwiseOn([full, reduced], node);
  });
  // Independent reductions of the same rows meet in one kernel: the mean and the dot product of a gradient, say.
  const target = joined ?? draft;
  target.reductions = [
    ...target.reductions,
    ...absorbed.filter((n) => isReduction(n) && !target.reductions.includes(n)),
  ];
  target.reductions.sort((a, b) => a.id - b.id);
  own(target, absorbed, flow);
}

/** Why a node cannot be computed as part of storing the anchor's elements; undefined when it can. */
function notPointwiseOn(domains: readonly Shape[], node: Node): string | undefined {
  const { kind } = opDef(node.op);
  const { shape } = node.type;
  if (kind === 'contract') return `${labelOf(node)} is a contraction (${node.op}): a kernel has one anchor`;
  if (kind === 'reduce')
    return `${labelOf(node)} reduces ${formatShape(node.inputs[0].type.shape)}, which are not this kernel's rows`;
  if (kind === 'view')
    return `${labelOf(node)} is a view (${node.op}): what a kernel computes is viewed only as a whole, by its one reader`;
  if (domains.some((domain) => sameShape(shape, domain))) return undefined;
  return `${labelOf(node)} has shape ${formatShape(shape)}, the kernel computes ${domains.map(formatShape).join(' and ')}`;
}

const isReduction = (node: Node) => opDef(node.op).kind === 'reduce';

/**
 * Extends a draft along the post-dominators of its root while nothing on the way is an obstacle. Returns the draft of
 * the same rows that it runs into, if any: the two are one kernel.
 */
function follow(
  draft: Draft,
  absorbed: Node[],
  flow: Flow,
  obstacle: (node: Node, domain: Shape) => string | undefined,
): Draft | undefined {
  for (;;) {
    const { root } = draft;
    const stop = (why: string, ...others: Node[]) => void flow.remarks?.missed('regions', [root, ...others], why);
    if (flow.returned.has(root)) return stop(`${labelOf(root)} is a result of the graph`);
    const next = flow.ipdom.get(root);
    const readers = flow.users.get(root)!;
    if (!next)
      return stop(`no later value depends on all readers of ${labelOf(root)}: ${labelsOf(readers)}`, ...readers);
    if (readers.length === 1 && readers[0] === next && isBijection(next) && !flow.owner.has(next)) {
      draft.views.push(next);
      absorbed.push(next);
    } else {
      const path = between(root, next, flow.users);
      const leaves = path.find((node) => flow.returned.has(node) && node !== next);
      if (leaves) return stop(`${labelOf(leaves)}, on the way to ${labelOf(next)}, is a result of the graph`, leaves);
      const barrier = weightiest(path.filter((node) => obstacle(node, root.type.shape) !== undefined));
      if (barrier) return stop(meeting(readers, next) + obstacle(barrier, root.type.shape)!, barrier, next);
      const owners = new Set(path.flatMap((node) => flow.owner.get(node) ?? []));
      const ops = [...owners].reduce((sum, owner) => sum + flow.sizes.get(owner)!, absorbed.length + path.length);
      if (ops > MOST_OPS) return stop(`with ${labelOf(next)} the kernel has ${ops} ops`, next);
      if (owners.size) {
        const apart = keepsApart(draft, owners, next, flow.owner.get(next));
        return apart ? stop(apart, next) : joinPath(absorbed, path, flow);
      }
      const operands = outsideOf([...absorbed, ...path]);
      if (operands > flow.maxReads) return stop(tooManyBuffers(operands, flow.maxReads, `with ${labelOf(next)}`), next);
      absorbed.push(...path);
    }
    draft.root = next;
  }
}

/** Of several obstacles the one to tell: another anchor rather than a view before it. */
const weightiest = (obstacles: readonly Node[]): Node | undefined =>
  obstacles.find((node) => opDef(node.op).kind === 'contract') ?? obstacles[0];

/** Several readers: where they meet, between which and the root everything must fit in the kernel. */
const meeting = (readers: readonly Node[], next: Node): string =>
  readers.length > 1 ? `its ${readers.length} readers meet in ${labelOf(next)}, and before that ` : '';

/** Values from outside that nodes read: each takes a buffer, if need be one of its own. */
function outsideOf(absorbed: readonly Node[]): number {
  const inside = new Set(absorbed);
  const outside = absorbed.flatMap((node) => node.inputs.filter((n) => !inside.has(n) && !isLiteral(n)));
  return new Set(outside).size;
}

const isLiteral = (node: Node) => opDef(node.op).kind === 'leaf' && !isStored(node);

/** Why a draft that runs into others cannot become one kernel with the one that `next` is in. */
function keepsApart(
  draft: Draft,
  owners: ReadonlySet<Draft>,
  next: Node,
  target: Draft | undefined,
): string | undefined {
  if (owners.size !== 1 || !target || !owners.has(target))
    return `on the way to ${labelOf(next)} lie values of another kernel: ${labelsOf([...owners].map((o) => o.root))}`;
  const anchors = [draft, target].map(({ kind }) => (kind === 'row' ? 'reductions' : 'a contraction'));
  if (draft.kind !== 'row' || target.kind !== 'row')
    return `${labelOf(next)} is in a kernel around ${anchors[1]} and this one is around ${anchors[0]}: a kernel has one anchor`;
  // Beyond the target's views a row is no longer the row that the kernel has reduced.
  if (draft.views.length || !target.views.every((view) => next.id < view.id))
    return `a view lies between the rows of ${labelOf(draft.root)} and ${labelOf(next)}: they are no longer the same rows`;
  if (!sameRows(draft.reductions[0], target.reductions[0]))
    return `${labelOf(draft.reductions[0])} and ${labelOf(target.reductions[0])} reduce different rows`;
  return undefined;
}

function joinPath(absorbed: Node[], path: readonly Node[], flow: Flow): Draft {
  const target = flow.owner.get(path[path.length - 1])!;
  absorbed.push(...path.filter((node) => !flow.owner.has(node)));
  return target;
}

/** Rows and row length of a row kernel: the kept and the reduced axes of what its reductions reduce. */
export function rowAxes([first]: readonly Node[]): { shape: Shape; kept: number[]; reduced: number[] } {
  const { shape } = first.inputs[0].type;
  const reduced = [...attrList(first.attrs, 'axes')];
  return { shape, reduced, kept: shape.map((_, i) => i).filter((i) => !reduced.includes(i)) };
}
