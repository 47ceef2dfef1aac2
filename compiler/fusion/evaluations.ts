/** How often values are computed and read: what it costs to compute them where they are read instead of storing them. */
import { sizeOf, type Node } from '../ir/index.ts';
import { attentionDims, isAttention, isProduct, opDef } from '../ops/index.ts';
import type { Choice } from './choice.ts';
import type { FusionGroup } from './group.ts';

/** Typical rows or columns of an output tile: how often an operand of a product is not reread. */
export const TILE = 24;
/** Query rows of an attention block. */
const ATTENTION_ROWS = 8;

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

/** Rows that a kernel computes, of its own or of a product's left operand: the last value, and how often they are computed. */
interface Rows {
  readonly root: Node;
  readonly times: number;
}

/** The rows that values are of: a product computes those of its left operand for each column of tiles. */
function rowsIn(groups: readonly FusionGroup[]): Map<Node, Rows> {
  const rows = groups.flatMap(({ kind, root, anchor, reductions, prologue, epilogue }): [Node, Rows][] => {
    if (kind === 'row') return [...reductions, ...epilogue].map((node) => [node, { root, times: 1 }]);
    const values = [...reductions, ...prologue];
    const times = values.length ? Math.ceil(last(anchor!) / TILE) : 1;
    return values.map((node) => [node, { root: values[values.length - 1], times }]);
  });
  return new Map(rows);
}

/** The sites of values, from those that read them back. */
export class Evaluations {
  private readonly sites = new Map<Node, Sites>();
  private readonly names = new Map<string, string>();
  private readonly rows: ReadonlyMap<Node, Rows>;
  /** Of a reduction of rows, which of the passes it is made in: after those of which it needs results. */
  private readonly passes = new Map<Node, number>();

  constructor(private readonly choice: Choice) {
    this.rows = rowsIn(choice.groups);
    for (const node of choice.context.nodes) {
      const row = this.rows.get(node);
      if (!row) continue;
      const before = node.inputs.map((input) =>
        this.rows.get(input)?.root === row.root ? this.passes.get(input)! : 0,
      );
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
    const own = this.choice.owners.get(node);
    const row = this.rows.get(node);
    const count = size(node);
    if (own && !row) return new Map([[elementOf(own, node), count]]);
    if (row?.root === node) return new Map([[`${node.id} last`, count * row.times]]);
    if (isBuffer) return new Map([[`${node.id}`, count]]);
    const sites = this.readSites(node);
    // What there is one of in a row is kept, however long the row.
    return row ? new Map([...sites].map(([site, reads]) => [site, Math.min(reads, count)])) : sites;
  }

  private readSites(node: Node): Sites {
    const { users } = this.choice.context;
    const sites = new Map<string, number>();
    const add = (site: string, count: number) => sites.set(site, Math.max(sites.get(site) ?? 0, count));
    for (const user of new Set(users.get(node)!)) {
      const { kind } = opDef(user.op);
      const row = kind === 'reduce' ? this.rows.get(user) : undefined;
      if (kind === 'pointwise') this.sites.get(user)?.forEach((count, site) => add(site, count));
      else if (kind === 'view') this.sites.get(user)?.forEach((count, site) => add(this.through(user, site), count));
      else if (row) add(`${row.root.id} pass ${this.passes.get(user)!}`, size(node) * row.times);
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
}

/** An element of a product, at the index that it has before or behind the product's views. */
const elementOf = ({ root, views }: FusionGroup, node: Node): string =>
  `${root.id} behind ${views.filter((view) => view.id <= node.id).length}`;

/** How many elements of `node` a contraction or a reduction reads in all. */
function readsBy(user: Node, node: Node): number {
  if (isAttention(user)) {
    const { batch, m, n } = attentionDims(user.inputs.map((x) => x.type));
    const place = user.inputs.indexOf(node);
    const matrices = sizeOf(batch) * sizeOf(node.type.shape.slice(-2));
    // Scores ask for their bias and mask once; keys and values pass by once for each block of queries.
    if (place >= 3) return sizeOf(batch) * m * n;
    return place === 0 ? matrices : matrices * Math.ceil(m / ATTENTION_ROWS);
  }
  // Its other kernels hold one row and pass by all others, in blocks.
  if (user.op.startsWith('attention_')) return size(node) * (1 + Math.ceil(size(user) / last(user) / ATTENTION_ROWS));
  if (!isProduct(user)) return size(node);
  const [m, n] = user.type.shape.slice(-2);
  const batch = sizeOf(user.type.shape.slice(0, -2));
  const k = user.inputs[0].type.shape.slice(-1)[0];
  const left = user.inputs[0] === node ? m * Math.ceil(n / TILE) : 0;
  const right = user.inputs[1] === node ? n * Math.ceil(m / TILE) : 0;
  return batch * k * (left + right);
}
