/** How often values are computed and read: what it costs to compute them where they are read instead of storing them. */
import { sizeOf, type Node } from '../ir/index.ts';
import { isProduct, joinedAxis, opDef } from '../ops/index.ts';
import type { Planner } from '../plans/registry.ts';
import type { Choice } from './choice.ts';
import { groupOf, type FusionGroup } from './group.ts';
import { columnsOf, loadsOf, type Loads } from './planned.ts';

const size = (node: Node): number => sizeOf(node.type.shape);

/** How often a value is computed at a site, and how much work on it is hidden there each time by loads of what is beside it. */
interface Count {
  readonly times: number;
  readonly hidden: number;
}

const counted = (times: number, hidden = 0): Count => ({ times, hidden });

/** How often a value is computed in all, and what is paid for that, where it takes some work each time. */
export interface Evaluated {
  readonly times: number;
  paid(work: number): number;
}

/**
 * How often a value is computed, by site. At one site it is computed at the same index, in the same loop of the same kernel, and thus
 * once for all who want it there. A site is named by the kernel's root and the pass over its rows, or by the reader that has a
 * loop of its own; each view on the way changes the index, and so the site.
 */
type Sites = ReadonlyMap<string, Count>;

/** Views that fork again and again (rolls of rolls) would double the sites each time: so many are counted as one. */
const MOST_SITES = 32;

/** Rows that a kernel computes, of its own or of a product's left operand: the last value, and how often they are computed. */
interface Rows {
  readonly root: Node;
  readonly times: number;
}

/** The rows that values are of: a product computes those of its left operand for each column of tiles. */
function rowsIn(groups: readonly FusionGroup[], planner: Planner): Map<Node, Rows> {
  const rows = groups.flatMap((group): [Node, Rows][] => {
    const { kind, root, reductions, prologue, epilogue } = group;
    if (kind === 'row') return [...reductions, ...epilogue].map((node) => [node, { root, times: 1 }]);
    const values = [...reductions, ...prologue];
    const times = values.length ? columnsOf(group, planner) : 1;
    return values.map((node) => [node, { root: values[values.length - 1], times }]);
  });
  return new Map(rows);
}

/** At which sites values are computed, and how often. Values are visited from the last one back: the sites of readers give those of what they read. */
export class Evaluations {
  private readonly sites = new Map<Node, Sites>();
  private readonly names = new Map<string, string>();
  private readonly rows: ReadonlyMap<Node, Rows>;
  /** Of a reduction of rows, which of the passes it is made in: after those of which it needs results. */
  private readonly passes = new Map<Node, number>();

  private readonly loads = new Map<Node, Loads>();

  constructor(private readonly choice: Choice) {
    this.rows = rowsIn(choice.groups, choice.context);
    for (const node of choice.context.nodes) {
      const row = this.rows.get(node);
      if (!row) continue;
      const before = node.inputs.map((input) =>
        this.rows.get(input)?.root === row.root ? this.passes.get(input)! : 0,
      );
      this.passes.set(node, Math.max(0, ...before) + Number(opDef(node.op).kind === 'reduce'));
    }
  }

  /** How often `node` is computed, at all sites together. All who read it have been visited. */
  visit(node: Node, isBuffer: boolean): Evaluated {
    const sites = this.sitesOf(node, isBuffer);
    const all = [...sites.values()];
    const times = all.reduce((sum, site) => sum + site.times, 0);
    this.sites.set(node, sites.size > MOST_SITES ? new Map([[`${node.id} forked`, counted(times)]]) : sites);
    return {
      times,
      paid: (work) => all.reduce((sum, site) => sum + site.times * Math.max(0, work - site.hidden), 0),
    };
  }

  /** It is computed once, to be stored. */
  store(node: Node): void {
    this.sites.set(node, new Map([[`${node.id}`, counted(size(node))]]));
  }

  private sitesOf(node: Node, isBuffer: boolean): Sites {
    const own = this.choice.owners.get(node);
    const row = this.rows.get(node);
    const count = size(node);
    if (own && !row) return new Map([[elementOf(own, node), counted(count)]]);
    if (row?.root === node) return new Map([[`${node.id} last`, counted(count * row.times)]]);
    if (isBuffer) return new Map([[`${node.id}`, counted(count)]]);
    const sites = this.readSites(node);
    // A value of which there is one a row is computed once a row, and kept while the row is walked over.
    return row
      ? new Map([...sites].map(([site, { times, hidden }]) => [site, counted(Math.min(times, count), hidden)]))
      : sites;
  }

  private readSites(node: Node): Sites {
    const { users } = this.choice.context;
    const sites = new Map<string, Count>();
    const add = (site: string, count: Count) => {
      if (count.times > (sites.get(site)?.times ?? 0)) sites.set(site, count);
    };
    for (const user of new Set(users.get(node)!)) {
      const { kind } = opDef(user.op);
      const row = kind === 'reduce' ? this.rows.get(user) : undefined;
      if (kind === 'pointwise') this.sites.get(user)?.forEach((count, site) => add(site, count));
      else if (kind === 'view')
        this.sites.get(user)?.forEach((count, site) => add(this.through(user, site), this.shareOf(node, user, count)));
      else if (row) add(`${row.root.id} pass ${this.passes.get(user)!}`, counted(size(node) * row.times));
      else if (kind === 'contract')
        this.operands(user, node).forEach(([i, count]) => add(`${user.id} operand ${i}`, count));
      else add(`${user.id} operand`, counted(size(node)));
    }
    return sites;
  }

  /** Where a contraction loads a value: each of its operands by itself. */
  private operands(user: Node, node: Node): [operand: number, count: Count][] {
    const { context, owners } = this.choice;
    const known =
      this.loads.get(user) ?? loadsOf(owners.get(user) ?? groupOf('contraction', user, { anchor: user }), context);
    this.loads.set(user, known);
    return user.inputs.flatMap((input, i): [number, Count][] =>
      input === node ? [[i, counted(known.elements[i], known.hidden[i])]] : [],
    );
  }

  /**
   * What a part takes of a view's count: what is read of a concatenation evaluates all its parts, unless products walk over one after
   * the other.
   */
  private shareOf(part: Node, view: Node, { times, hidden }: Count): Count {
    const isWalked = this.choice.context.users.get(view)!.every((user) => joinsDepth(view, user));
    return counted(isWalked ? times * (size(part) / size(view)) : times, hidden);
  }

  /** A site behind a view; short, however many views there are. */
  private through(view: Node, site: string): string {
    const path = `${site} through ${view.id}`;
    if (!this.names.has(path)) this.names.set(path, `path ${this.names.size}`);
    return this.names.get(path)!;
  }
}

/** Whether a value joins others along the depth of a product that reads it, which walks over them part by part (depth-parts.ts). */
export function joinsDepth(node: Node, user: Node): boolean {
  const rank = node.type.shape.length;
  return isProduct(user) && joinedAxis(node) === (user.inputs[0] === node ? rank - 1 : rank - 2);
}

/** An element of a product, at the index that it has before or behind the product's views. */
const elementOf = ({ root, views }: FusionGroup, node: Node): string =>
  `${root.id} behind ${views.filter((view) => view.id <= node.id).length}`;
