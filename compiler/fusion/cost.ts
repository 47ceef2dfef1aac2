/**
 * Which pointwise values get a buffer of their own. A value that several places read, or that one place reads many times
 * (a matrix product reads each operand once per tile of the other), is either recomputed there or stored once.
 */
import { labelOf, sizeOf, type Node, type Remarks } from '../ir/index.ts';
import { attentionDims, opDef } from '../ops/index.ts';
import { tooManyBuffers } from '../device.ts';
import { limitOps } from './most-ops.ts';
import type { Draft } from './regions.ts';
import { isStored } from './storage.ts';
import { chooseWholes, type Wholes } from './wholes.ts';

/** Scalar operations that a load (or store) of one element is worth, and that one more dispatch is worth. Estimates. */
const MEMORY = 4;
const DISPATCH = 1_000_000;
/** Work beside a load that costs nothing to repeat. */
const CHEAP = 4;
/** Typical rows or columns of an output tile: how often an operand of a product is not reread. */
export const TILE = 24;
/** Query rows of an attention block. */
const ATTENTION_ROWS = 8;

export interface BufferChoice {
  readonly nodes: readonly Node[];
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
  /** Roots of anchored regions: always stored. */
  readonly anchored: ReadonlySet<Node>;
  /** Nodes inside anchored regions, with what computes them. */
  readonly owned: ReadonlyMap<Node, Draft>;
  /** Row drafts whose rows products compute (absorb-rows.ts). */
  readonly absorbed?: ReadonlyMap<Draft, Node>;
  /** Stored, with their parts, and computed by no kernel (wholes.ts). */
  readonly wholes?: Wholes;
  /** Buffers a kernel may read. */
  readonly maxReads: number;
  readonly remarks?: Remarks;
}

/**
 * The stored values, and those of them that lie where their parts are written. `most`: bytes that a binding holds; `torn`: what
 * no parts can be written into (wholes.ts).
 */
export function chooseStored(choice: BufferChoice, most: number, torn?: ReadonlySet<Node>) {
  const buffers = chooseBuffers({ ...choice, remarks: undefined }, most);
  const wholes = chooseWholes({ ...choice, buffers, most, torn });
  return { wholes, buffers: chooseBuffers({ ...choice, wholes }, most) };
}

/** The stored values: roots of anchored regions, results, and what is cheaper to store than to recompute. */
function chooseBuffers(choice: BufferChoice, most: number): Set<Node> {
  const { nodes, users, returned, anchored, owned, wholes = new Map(), remarks } = choice;
  const buffers = new Set<Node>([...anchored, ...returned, ...[...wholes].flat(2)]);
  for (const node of returned) {
    if (!anchored.has(node)) remarks?.missed('buffers', [node], `${labelOf(node)} is a result of the graph`);
  }
  const work = inlineWork(choice);
  const evaluations = new Evaluations(choice);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    if (opDef(node.op).kind === 'leaf') continue;
    const size = sizeOf(node.type.shape);
    const reads = evaluations.visit(node, buffers.has(node));
    if (buffers.has(node) || owned.has(node) || !isComputed(node, users.get(node)!)) continue;
    // Who reads a concatenation evaluates all its parts. An operation or two beside a load are hidden by it.
    if (work.get(node)! < MEMORY + CHEAP) continue;
    const recompute = work.get(node)! * reads;
    const store = (work.get(node)! + MEMORY) * size + MEMORY * reads + DISPATCH;
    const kept = recompute > store;
    if (users.get(node)!.length > 1 || kept) remarkOn(node, kept, { reads, recompute, store }, remarks);
    if (kept) {
      buffers.add(node);
      evaluations.store(node);
    }
  }
  limitOps(choice, buffers, most);
  limitReads(choice, buffers);
  return buffers;
}

/** Whether reading it takes more than a load. Products walk what they contract part by part (depth-parts.ts). */
function isComputed(node: Node, users: readonly Node[]): boolean {
  if (node.op !== 'concat') return opDef(node.op).kind === 'pointwise';
  const rank = node.type.shape.length;
  const isDepth = ({ op, inputs }: Node) =>
    op === 'matmul' && node.attrs.axis === (inputs[0] === node ? rank - 1 : rank - 2);
  return !users.some(isDepth);
}

interface Estimate {
  readonly reads: number;
  readonly recompute: number;
  readonly store: number;
}

function remarkOn(node: Node, kept: boolean, { reads, recompute, store }: Estimate, remarks?: Remarks): void {
  const number = (x: number) => Math.round(x).toLocaleString('en-US');
  const read = `${labelOf(node)} (${number(sizeOf(node.type.shape))} elements) is read ${number(reads)} times`;
  const costs = `computing it anew costs ${number(recompute)} operations, storing it ${number(store)}`;
  remarks?.[kept ? 'missed' : 'applied']('buffers', [node], `${read}: ${costs}`);
}

const size = (node: Node): number => sizeOf(node.type.shape);
const last = ({ type: { shape } }: Node): number => shape[shape.length - 1];

/**
 * How often a value is computed, by site. At one site it is computed at the same index, in the same loop of the same kernel, and thus
 * once for all who want it there. A site is named by the kernel's root and the pass over its rows, or by the reader that has a
 * loop of its own; each view on the way changes the index, and so the site.
 */
type Sites = ReadonlyMap<string, number>;

/** Views that fork again and again (rolls of rolls) would double the sites each time: so many are counted as one. */
const MOST_SITES = 32;

/** The sites of values, from those that read them back. */
class Evaluations {
  private readonly sites = new Map<Node, Sites>();
  private readonly names = new Map<string, string>();
  /** Of a reduction in a row kernel, which of the passes it is made in: after those of which it needs results. */
  private readonly passes = new Map<Node, number>();

  constructor(private readonly choice: BufferChoice) {
    const { nodes, owned } = choice;
    for (const node of nodes) {
      const row = owned.get(node);
      if (row?.kind !== 'row') continue;
      const before = node.inputs.map((input) => (owned.get(input) === row ? this.passes.get(input)! : 0));
      this.passes.set(node, Math.max(0, ...before) + Number(opDef(node.op).kind === 'reduce'));
    }
  }

  /** Finds where `node` is computed, when that is known of all who read it, and how often in all. */
  visit(node: Node, isBuffer: boolean): number {
    const sites = this.sitesOf(node, isBuffer);
    const all = [...sites.values()].reduce((sum, count) => sum + count, 0);
    this.sites.set(node, sites.size > MOST_SITES ? new Map([[`${node.id} forked`, all]]) : sites);
    return all;
  }

  /** It is computed once, to be stored. */
  store(node: Node): void {
    this.sites.set(node, new Map([[`${node.id}`, size(node)]]));
  }

  private sitesOf(node: Node, isBuffer: boolean): Sites {
    const own = this.choice.owned.get(node);
    const count = size(node);
    if (own && own.kind !== 'row') return new Map([[elementOf(own, node), count]]);
    if (own?.root === node) return new Map([[`${node.id} last`, count * this.columnsOf(own)]]);
    if (isBuffer) return new Map([[`${node.id}`, count]]);
    const sites = this.readSites(node);
    // What there is one of in a row is kept, however long the row.
    return own ? new Map([...sites].map(([site, reads]) => [site, Math.min(reads, count)])) : sites;
  }

  private readSites(node: Node): Sites {
    const { users, owned } = this.choice;
    const sites = new Map<string, number>();
    const add = (site: string, count: number) => sites.set(site, Math.max(sites.get(site) ?? 0, count));
    for (const user of new Set(users.get(node)!)) {
      const { kind } = opDef(user.op);
      const row = kind === 'reduce' ? owned.get(user) : undefined;
      if (kind === 'pointwise') this.sites.get(user)?.forEach((count, site) => add(site, count));
      else if (kind === 'view') this.sites.get(user)?.forEach((count, site) => add(this.through(user, site), count));
      else if (row) add(`${row.root.id} pass ${this.passes.get(user)!}`, size(node) * this.columnsOf(row));
      else add(`${user.id} operand ${user.inputs.indexOf(node)}`, readsBy(user, node));
    }
    return sites;
  }

  /** A site behind a view; short, however many views there are. */
  private through(view: Node, site: string): string {
    const path = `${site} through ${view.id}`;
    if (!this.names.has(path)) this.names.set(path, `path ${this.names.size}`);
    return this.names.get(path)!;
  }

  /** How often rows are computed: by each column of tiles, where a product computes them. */
  private columnsOf(row: Draft): number {
    const product = this.choice.absorbed?.get(row);
    return product ? Math.ceil(last(product) / TILE) : 1;
  }
}

/** An element of a product, at the index that it has before or behind the product's views. */
const elementOf = ({ root, views }: Draft, node: Node): string =>
  `${root.id} behind ${views.filter((view) => view.id <= node.id).length}`;

/** How many elements of `node` a contraction or a reduction reads in all. */
function readsBy(user: Node, node: Node): number {
  const kind = opDef(user.op).kind;
  if (user.op === 'attention') {
    const { batch, m, n } = attentionDims(user.inputs.map((x) => x.type));
    const place = user.inputs.indexOf(node);
    const matrices = sizeOf(batch) * sizeOf(node.type.shape.slice(-2));
    // Scores ask for their bias and mask once; keys and values pass by once for each block of queries.
    if (place >= 3) return sizeOf(batch) * m * n;
    return place === 0 ? matrices : matrices * Math.ceil(m / ATTENTION_ROWS);
  }
  // Its other kernels hold one row and pass by all others, in blocks.
  if (user.op.startsWith('attention_')) return size(node) * (1 + Math.ceil(size(user) / last(user) / ATTENTION_ROWS));
  if (kind !== 'contract') return size(node);
  const [m, n] = user.type.shape.slice(-2);
  const batch = sizeOf(user.type.shape.slice(0, -2));
  const k = user.inputs[0].type.shape.slice(-1)[0];
  const left = user.inputs[0] === node ? m * Math.ceil(n / TILE) : 0;
  const right = user.inputs[1] === node ? n * Math.ceil(m / TILE) : 0;
  return batch * k * (left + right);
}

/** Scalar work to compute one element of a node from buffers, everything between inlined. */
function inlineWork({ nodes, anchored, wholes }: BufferChoice): Map<Node, number> {
  const work = new Map<Node, number>();
  for (const node of nodes) {
    const def = opDef(node.op);
    // A single number is loaded once, before the loops.
    if (isStored(node) || anchored.has(node) || wholes?.has(node))
      work.set(node, sizeOf(node.type.shape) === 1 ? 0 : MEMORY);
    else {
      const own = def.kind === 'pointwise' ? def.cost([], node.attrs, { dtype: 'f32', shape: [] }).flops : 0;
      // A square loads its operand once.
      const operands = [...new Set(node.inputs)];
      work.set(node, own + operands.reduce((sum, input) => sum + work.get(input)!, 0));
    }
  }
  return work;
}

/** Stores more values until no kernel reads more buffers than the device binds. */
function limitReads({ nodes, owned, wholes, maxReads, remarks }: BufferChoice, buffers: Set<Node>): void {
  const leaves = new Map<Node, Set<Node>>();
  const byLeaves = (a: Node, b: Node) => leaves.get(b)!.size - leaves.get(a)!.size;
  for (const node of nodes) {
    if (wholes?.has(node)) continue;
    let reads = new Set<Node>();
    for (const input of node.inputs) {
      if (buffers.has(input) || isStored(input)) reads.add(input);
      else for (const leaf of leaves.get(input)!) reads.add(leaf);
    }
    if (reads.size > maxReads) {
      // The operand with most reads becomes a buffer: one read instead of many. Its own operands, where it is in this kernel.
      const isOpen = (n: Node) => !buffers.has(n) && !isStored(n);
      const inside = insideOf(node, (n) => isOpen(n) && owned.has(n));
      for (const operand of inside.flatMap((n) => n.inputs.filter(isOpen).sort(byLeaves))) {
        if (owned.has(operand) || buffers.has(operand)) continue;
        if (opDef(operand.op).kind !== 'pointwise' && opDef(operand.op).kind !== 'view') continue;
        remarks?.missed('buffers', [operand, node], tooManyBuffers(reads.size, maxReads, `with ${labelOf(operand)}`));
        buffers.add(operand);
        reads = memoryBehind(node, (n) => !isOpen(n));
        if (reads.size <= maxReads) break;
      }
    }
    leaves.set(node, reads);
  }
}

/** What is read from memory to compute a value. */
function memoryBehind(node: Node, isInMemory: (node: Node) => boolean): Set<Node> {
  const inside = insideOf(node, (n) => !isInMemory(n));
  return new Set(inside.flatMap(({ inputs }) => inputs.filter(isInMemory)));
}

/** A value and those behind it that a kernel computes too, the nearest first. */
function insideOf(node: Node, isInside: (node: Node) => boolean): Node[] {
  const inside = new Set([node]);
  for (const member of inside) for (const input of member.inputs) if (isInside(input)) inside.add(input);
  return [...inside];
}
