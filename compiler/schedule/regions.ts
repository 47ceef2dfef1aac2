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
import { chooseBuffers } from './cost.ts';
import { isStored } from './storage.ts';

export interface Region {
  readonly kind: 'map' | 'row' | 'matmul';
  /** The value written to memory. */
  readonly root: Node;
  /** `matmul`: the product. */
  readonly anchor?: Node;
  /** `row`: the reductions, in topological order; all reduce the same axes of the same shape. */
  readonly reductions: readonly Node[];
  /** One-to-one views between the anchor's domain and the root, in order. */
  readonly views: readonly Node[];
  /** Values read from memory, in order of first use. */
  readonly reads: readonly Node[];
  /** Everything computed in the kernel, in topological order. */
  readonly members: readonly Node[];
}

interface Draft {
  kind: Region['kind'];
  root: Node;
  anchor?: Node;
  reductions: Node[];
  views: Node[];
}

const isPointwise = (node: Node) => opDef(node.op).kind === 'pointwise';
const isBijection = (node: Node) => node.op === 'reshape' || node.op === 'permute';
/** The schedule: regions in an order that respects their reads. */
export function formRegions(graph: Graph, device: DeviceSpec): Region[] {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const flow: Flow = { users, returned, ipdom: postDominators(nodes, returned) };
  const drafts = new Map<Node, Draft>();
  const owned = new Set<Node>();
  for (const node of nodes) {
    if (owned.has(node)) continue;
    const kind = opDef(node.op).kind;
    if (kind !== 'contract' && kind !== 'reduce') continue;
    const { draft, absorbed } = kind === 'contract' ? growProduct(node, flow) : growRows(node, flow);
    drafts.set(draft.root, draft);
    for (const member of absorbed) owned.add(member);
  }
  const anchored = new Set(drafts.keys());
  const maxReads = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const buffers = chooseBuffers({ nodes, users, returned, anchored, owned, maxReads });
  for (const node of buffers) {
    if (!drafts.has(node)) drafts.set(node, { kind: 'map', root: node, reductions: [], views: [] });
  }
  return [...drafts.values()].sort((a, b) => a.root.id - b.root.id).map((draft) => finish(draft, buffers));
}

interface Flow {
  users: Map<Node, Node[]>;
  returned: Set<Node>;
  ipdom: Map<Node, Node>;
}

interface Grown {
  draft: Draft;
  absorbed: Node[];
}

function growProduct(anchor: Node, flow: Flow): Grown {
  const draft: Draft = { kind: 'matmul', root: anchor, anchor, reductions: [], views: [] };
  const absorbed = [anchor];
  follow(draft, absorbed, flow, (node, domain) => isPointwise(node) && sameShape(node.type.shape, domain));
  return { draft, absorbed };
}

function growRows(first: Node, flow: Flow): Grown {
  const full = first.inputs[0].type.shape;
  const reduced = first.type.shape;
  const axes = String(first.attrs.axes);
  const draft: Draft = { kind: 'row', root: first, reductions: [first], views: [] };
  const absorbed = [first];
  const sameRows = (node: Node) =>
    opDef(node.op).kind === 'reduce' && String(node.attrs.axes) === axes && sameShape(node.inputs[0].type.shape, full);
  follow(draft, absorbed, flow, (node, domain) => {
    if (draft.views.length) return isPointwise(node) && sameShape(node.type.shape, domain);
    if (sameRows(node)) return true;
    return isPointwise(node) && (sameShape(node.type.shape, full) || sameShape(node.type.shape, reduced));
  });
  draft.reductions = absorbed.filter((node) => opDef(node.op).kind === 'reduce');
  return { draft, absorbed };
}

/** Extends a draft along the post-dominators of its root while everything on the way is `admissible`. */
function follow(draft: Draft, absorbed: Node[], flow: Flow, admissible: (node: Node, domain: Shape) => boolean): void {
  for (;;) {
    const { root } = draft;
    const next = flow.returned.has(root) ? undefined : flow.ipdom.get(root);
    if (!next) return;
    const onlyUser = flow.users.get(root)!.length === 1 && flow.users.get(root)![0] === next;
    if (onlyUser && isBijection(next)) {
      draft.views.push(next);
      absorbed.push(next);
    } else {
      const path = between(root, next, flow.users);
      if (path.some((node) => flow.returned.has(node) && node !== next)) return;
      if (!path.every((node) => admissible(node, root.type.shape))) return;
      absorbed.push(...path);
    }
    draft.root = next;
  }
}

/** Finds what a region computes and what it reads. */
function finish(draft: Draft, buffers: ReadonlySet<Node>): Region {
  const members = new Set<Node>();
  const reads = new Set<Node>();
  const visit = (node: Node): void => {
    if (members.has(node) || reads.has(node)) return;
    if (node !== draft.root && (buffers.has(node) || isStored(node))) {
      reads.add(node);
      return;
    }
    members.add(node);
    if (node === draft.root && isStored(node)) reads.add(node);
    else node.inputs.forEach(visit);
  };
  visit(draft.root);
  return { ...draft, reads: [...reads], members: [...members].sort((a, b) => a.id - b.id) };
}

/** Rows and row length of a row region: the kept and the reduced axes of what it reduces. */
export function rowAxes(region: Region): { shape: Shape; kept: number[]; reduced: number[] } {
  const [first] = region.reductions;
  const { shape } = first.inputs[0].type;
  const reduced = [...attrList(first.attrs, 'axes')];
  return { shape, reduced, kept: shape.map((_, i) => i).filter((i) => !reduced.includes(i)) };
}
