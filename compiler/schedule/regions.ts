/**
 * Regions: which values share a kernel. An anchor (matrix product, row reductions, or none) absorbs what follows it as
 * the way it stores, and what precedes it as the way it loads. Both are pointwise and view ops, reached by index maps.
 *
 * Following: from the anchor to its post-dominator, as long as everything on the way is pointwise on the anchor's domain
 * (or, for row reductions, a reduction of the same rows); one-to-one views may follow. Preceding: whatever is not worth a
 * buffer of its own (cost.ts) is computed where it is read.
 */
import { nodesOf, results, sameShape, usersOf, type Graph, type Node, type Shape } from '../ir/index.ts';
import { attrList, opDef } from '../ops/index.ts';
import { limit, type DeviceSpec } from './device.ts';
import { between, postDominators } from './dominance.ts';
import { absorbRows } from './absorb-rows.ts';
import { chooseBuffers } from './cost.ts';
import { isStored } from './storage.ts';
import { windowOffset } from './windows.ts';

export interface Region {
  readonly kind: 'map' | 'row' | 'matmul';
  /** The value written to memory. */
  readonly root: Node;
  /** `matmul`: the product. */
  readonly anchor?: Node;
  /**
   * In topological order, all reducing the same axes of the same shape. `row`: what the kernel is for. `matmul`: statistics
   * of the left operand's rows (a layer norm before a linear), computed in the kernel before the product.
   */
  readonly reductions: readonly Node[];
  /** One-to-one views between the anchor's domain and the root, in order. */
  readonly views: readonly Node[];
  /** Values read from memory, in order of first use. */
  readonly reads: readonly Node[];
  /** Everything computed in the kernel, in topological order. */
  readonly members: readonly Node[];
  /** A value the root is computed in place of: read from the output's buffer, and not among `reads` (memory/reuse.ts). */
  readonly replaces?: Node;
}

export interface Draft {
  kind: Region['kind'];
  root: Node;
  anchor?: Node;
  reductions: Node[];
  views: Node[];
}

const isPointwise = (node: Node) => opDef(node.op).kind === 'pointwise';
const isBijection = (node: Node) => node.op === 'reshape' || node.op === 'permute';

/** What regions may take in beyond pointwise ops and views. */
export interface Fusion {
  /** Products compute the row statistics of their left operand (absorb-rows.ts), where the device gains by it. */
  readonly rowStatistics?: boolean;
}

/** The schedule: regions in an order that respects their reads. */
export function formRegions(graph: Graph, device: DeviceSpec, { rowStatistics = true }: Fusion = {}): Region[] {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const returned = new Set(results(graph).filter((node) => !isStored(node)));
  const maxReads = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const flow: Flow = { users, returned, ipdom: postDominators(nodes, returned), maxReads, owner: new Map() };
  for (const node of nodes) {
    if (flow.owner.has(node)) continue;
    const kind = opDef(node.op).kind;
    if (kind === 'contract') growProduct(node, flow);
    if (kind === 'reduce') growRows(node, flow);
  }
  const drafts = new Map([...flow.owner.values()].map((draft) => [draft.root, draft]));
  if (rowStatistics) absorbRows(drafts, flow, device);
  const anchored = new Set(drafts.keys());
  const buffers = chooseBuffers({ nodes, users, returned, anchored, owned: flow.owner, maxReads });
  for (const node of buffers) {
    if (!drafts.has(node)) drafts.set(node, { kind: 'map', root: node, reductions: [], views: [] });
  }
  return [...drafts.values()]
    .sort((a, b) => a.root.id - b.root.id)
    .map((draft) => finish(draft, buffers, users, maxReads));
}

interface Flow {
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
  readonly ipdom: Map<Node, Node>;
  /** Buffers a kernel may read. */
  readonly maxReads: number;
  /** The draft that computes each absorbed node. */
  readonly owner: Map<Node, Draft>;
}

function growProduct(anchor: Node, flow: Flow): void {
  const draft: Draft = { kind: 'matmul', root: anchor, anchor, reductions: [], views: [] };
  const absorbed = [anchor];
  follow(draft, absorbed, flow, (node, domain) => isPointwise(node) && sameShape(node.type.shape, domain));
  for (const node of absorbed) flow.owner.set(node, draft);
}

function growRows(first: Node, flow: Flow): void {
  const full = first.inputs[0].type.shape;
  const reduced = first.type.shape;
  const draft: Draft = { kind: 'row', root: first, reductions: [first], views: [] };
  const absorbed = [first];
  const joined = follow(draft, absorbed, flow, (node, domain) => {
    if (draft.views.length) return isPointwise(node) && sameShape(node.type.shape, domain);
    if (sameRows(node, first)) return true;
    return isPointwise(node) && (sameShape(node.type.shape, full) || sameShape(node.type.shape, reduced));
  });
  // Independent reductions of the same rows meet in one kernel: the mean and the dot product of a gradient, say.
  const target = joined ?? draft;
  target.reductions = [
    ...target.reductions,
    ...absorbed.filter((n) => isReduction(n) && !target.reductions.includes(n)),
  ];
  target.reductions.sort((a, b) => a.id - b.id);
  for (const node of absorbed) flow.owner.set(node, target);
}

const isReduction = (node: Node) => opDef(node.op).kind === 'reduce';

const sameRows = (a: Node, b: Node): boolean =>
  isReduction(a) &&
  String(a.attrs.axes) === String(b.attrs.axes) &&
  sameShape(a.inputs[0].type.shape, b.inputs[0].type.shape);

/**
 * Extends a draft along the post-dominators of its root while everything on the way is `admissible`. Returns the draft of
 * the same rows that it runs into, if any: the two are one kernel.
 */
function follow(
  draft: Draft,
  absorbed: Node[],
  flow: Flow,
  admissible: (node: Node, domain: Shape) => boolean,
): Draft | undefined {
  for (;;) {
    const { root } = draft;
    const next = flow.returned.has(root) ? undefined : flow.ipdom.get(root);
    if (!next) return undefined;
    const onlyUser = flow.users.get(root)!.length === 1 && flow.users.get(root)![0] === next;
    if (onlyUser && isBijection(next) && !flow.owner.has(next)) {
      draft.views.push(next);
      absorbed.push(next);
    } else {
      const path = between(root, next, flow.users);
      if (path.some((node) => flow.returned.has(node) && node !== next)) return undefined;
      if (!path.every((node) => admissible(node, root.type.shape))) return undefined;
      const owners = new Set(path.flatMap((node) => flow.owner.get(node) ?? []));
      if (owners.size)
        return canJoin(draft, owners, next, flow.owner.get(next)) ? joinPath(absorbed, path, flow) : undefined;
      if (operandsOf([...absorbed, ...path]) > flow.maxReads) return undefined;
      absorbed.push(...path);
    }
    draft.root = next;
  }
}

/** Values from outside that nodes read: each takes a buffer, if need be one of its own. */
function operandsOf(absorbed: readonly Node[]): number {
  const inside = new Set(absorbed);
  const outside = absorbed.flatMap((node) => node.inputs.filter((n) => !inside.has(n) && !isLiteral(n)));
  return new Set(outside).size;
}

const isLiteral = (node: Node) => opDef(node.op).kind === 'leaf' && !isStored(node);

function canJoin(draft: Draft, owners: ReadonlySet<Draft>, next: Node, target: Draft | undefined): boolean {
  if (owners.size !== 1 || !target || !owners.has(target) || draft.kind !== 'row' || target.kind !== 'row')
    return false;
  // Beyond the target's views a row is no longer the row that the kernel has reduced.
  const beforeViews = target.views.every((view) => next.id < view.id);
  return beforeViews && !draft.views.length && sameRows(draft.reductions[0], target.reductions[0]);
}

function joinPath(absorbed: Node[], path: readonly Node[], flow: Flow): Draft {
  const target = flow.owner.get(path[path.length - 1])!;
  absorbed.push(...path.filter((node) => !flow.owner.has(node)));
  return target;
}

/** Finds what a region computes and what it reads. */
function finish(draft: Draft, buffers: ReadonlySet<Node>, users: Map<Node, Node[]>, maxReads: number): Region {
  const inMemory = (node: Node) => node !== draft.root && buffers.has(node);
  const windows = windowsOf(draft.root, inMemory, users);
  const region = collect(draft, inMemory, windows);
  // A window is one binding, several of a value are several: too many, and the value is bound whole.
  return region.reads.length > maxReads ? collect(draft, inMemory, new Set()) : region;
}

function collect(draft: Draft, inMemory: (node: Node) => boolean, windows: ReadonlySet<Node>): Region {
  const members = new Set<Node>();
  const reads = new Set<Node>();
  const visit = (node: Node): void => {
    if (members.has(node) || reads.has(node)) return;
    if (isStored(node) || inMemory(node) || windows.has(node)) {
      reads.add(node);
      return;
    }
    members.add(node);
    node.inputs.forEach(visit);
  };
  visit(draft.root);
  return { ...draft, reads: [...reads], members: [...members].sort((a, b) => a.id - b.id) };
}

/** Most windows of one value that a kernel binds one by one. */
const MAX_WINDOWS = 3;

/** Windows of values that other kernels read elsewhere, where they are all that the region reads of the value. */
function windowsOf(root: Node, inMemory: (node: Node) => boolean, users: Map<Node, Node[]>): Set<Node> {
  const readers = new Map<Node, Set<Node>>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const input of node.inputs) {
      if (isStored(input)) continue;
      if (inMemory(input)) readers.set(input, (readers.get(input) ?? new Set()).add(node));
      else visit(input);
    }
  };
  visit(root);
  const windows = [...readers].filter(([value, nodes]) => {
    const shared = nodes.size < users.get(value)!.length && nodes.size <= MAX_WINDOWS;
    return shared && [...nodes].every((node) => node !== root && windowOffset(node) !== null);
  });
  return new Set(windows.flatMap(([, nodes]) => [...nodes]));
}

/** Rows and row length of a row region: the kept and the reduced axes of what it reduces. */
export function rowAxes(region: Region): { shape: Shape; kept: number[]; reduced: number[] } {
  const [first] = region.reductions;
  const { shape } = first.inputs[0].type;
  const reduced = [...attrList(first.attrs, 'axes')];
  return { shape, reduced, kept: shape.map((_, i) => i).filter((i) => !reduced.includes(i)) };
}
