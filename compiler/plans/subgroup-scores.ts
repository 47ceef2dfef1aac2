/**
 * What attention by one subgroup per workgroup and its derivatives share. A workgroup owns a block of rows and walks over the others, four
 * a lane at a time. Products of both add up in registers; through workgroup memory a lane gets those of rows of its own. Of results a lane
 * owns columns; what belongs to a row reaches all by broadcasts, whose lanes are written down: a lane that is not known, and a reduction,
 * take a loop over the lanes on CPUs.
 */
import type { Node } from '../ir/index.ts';
import { fixedSubgroupSize, prefersSubgroupProducts, type DeviceSpec } from '../device.ts';
import type { Index } from '../kernel/index-map.ts';
import { broadcastIndex } from '../kernel/inline.ts';
import type { Expr, SharedArray, Variable } from '../kernel/ir.ts';
import { asVector, range, storeElement, type Site } from './common.ts';
import type { Rejection } from './family.ts';

/** `rows` own rows, a multiple of `lanes`. A lane accumulates columns of a result, by fours where these are. */
export interface SubgroupRows {
  readonly lanes: number;
  readonly rows: number;
}

/** The first of some numbers of rows that is not refused, on a software device whose subgroups have one size. */
export function proposeRows(
  rowsFor: (lanes: number) => readonly number[],
  device: DeviceSpec,
  refuses: (plan: SubgroupRows) => string | undefined,
): SubgroupRows | Rejection {
  const lanes = fixedSubgroupSize(device);
  if (!lanes || lanes < 4 || lanes > 16 || !prefersSubgroupProducts(device))
    return { rejected: `${device.name} is no software device with subgroups of 4 to 16` };
  const plans = rowsFor(lanes).map((rows) => ({ lanes, rows }));
  const refusals = plans.map(refuses);
  return plans[refusals.indexOf(undefined)] ?? { rejected: refusals.at(-1)! };
}

/** A workgroup, its rows and the matrices of its batch. */
export interface SubgroupWalk {
  readonly site: Site;
  readonly plan: SubgroupRows;
  readonly batch: readonly Index[];
  readonly row0: Index;
  readonly lane: Index;
  /** The lane's rows, one of every `lanes`, the last where there are no more. */
  readonly rows: readonly Index[];
  /** Other rows. */
  readonly n: number;
}

/** Columns of a result that a lane owns side by side: four, or one. */
export interface Columns {
  /** Indices of the lane's columns; beyond the last column, that one's. */
  readonly own: readonly Index[];
  /** Sums of each row: vectors of four, or numbers. */
  readonly sums: readonly Variable[];
}

/** Of `width` columns, what a lane owns: so many of a width, four neighbours or single ones. */
export function columnsOf(width: number, lanes: number): { readonly count: number; readonly each: 1 | 4 } {
  const each = width % 4 ? 1 : 4;
  return { count: Math.ceil(width / each / lanes), each };
}

/** Numbers that a lane holds of so many rows of a result. */
export function heldOf(width: number, { lanes, rows }: SubgroupRows): number {
  const { count, each } = columnsOf(width, lanes);
  return rows * count * each;
}

/** Whose work a lane does, where the workgroup's rows are from `row0` on, of `m`. */
export function rowsOfLane(
  { inline: { ix } }: Site,
  { lanes, rows }: SubgroupRows,
  lane: Index,
  row0: Index,
  m: number,
) {
  return range(rows / lanes).map((h) => ix.clamp(ix.offset(ix.add(row0, lane), h * lanes), m - 1, `row_${h}`));
}

export const number = ({ b }: Site, value: number): Expr => b.literal(value, 'f32');
export const splat = ({ b }: Site, value: Expr): Expr => b.call('vec4f', [value], 'vec4f');

export function startColumns(
  { site, plan: { rows, lanes }, lane }: SubgroupWalk,
  width: number,
  hint = 'out',
): Columns[] {
  const { b, inline } = site;
  const { ix } = inline;
  const { count, each } = columnsOf(width, lanes);
  const zero = each === 4 ? splat(site, number(site, 0)) : number(site, 0);
  return range(count).map((j) => {
    const first = ix.scale(ix.clamp(ix.offset(lane, j * lanes), width / each - 1, `column_${j}`), each);
    const own = range(each).map((u) => ix.offset(first, u));
    return { own, sums: range(rows).map((r) => b.variable(`${hint}_${j}_${r}`, zero)) };
  });
}

const at = ({ inline }: Site, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

/** One value, or four as a vector. */
const together = (site: Site, values: readonly Expr[]): Expr =>
  values.length === 1 ? values[0] : asVector(site, values);

export const part = ({ b }: Site, of: Expr, u: number): Expr => (of.type === 'vec4f' ? b.component(of, u) : of);

/** A value that a lane has of each of its rows, in every lane: that of row r. */
export const ofRow = ({ site: { b }, plan: { lanes } }: SubgroupWalk, own: readonly Expr[], r: number): Expr =>
  b.bind('row', b.call('subgroupBroadcast', [own[Math.floor(r / lanes)], b.u32(r % lanes)]));

/** Adds to the sum of each row its own values times those of the columns, step by step. */
export function addProducts(
  walk: SubgroupWalk,
  own: readonly Expr[],
  columns: readonly (readonly [Columns['sums'], readonly Expr[]])[],
): void {
  const { site, plan } = walk;
  const { b } = site;
  for (const r of range(plan.rows)) {
    const row = ofRow(walk, own, r);
    for (const [sums, steps] of columns) {
      const added = steps.reduce((before, step, u) => {
        const factor = part(site, row, u);
        return b.call('fma', [step.type === 'vec4f' ? splat(site, factor) : factor, step, before], step.type);
      }, b.read(sums[r]));
      b.assign(sums[r], added);
    }
  }
}

/** A matrix of rows, as names of values call it. */
export interface Rows {
  readonly node: Node;
  readonly hint: string;
}

/** Products of the lane's four of the others, from `other0` on, and all rows, to workgroup memory: `[row][others]`. */
export function productBlock(walk: SubgroupWalk, mine: Rows, theirs: Rows, other0: Index, to: SharedArray): void {
  const { site, plan, n, batch, lane, rows } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const width = theirs.node.type.shape.at(-1)!;
  const others = range(4).map((c) =>
    ix.clamp(ix.offset(ix.add(other0, ix.scale(lane, 4)), c), n - 1, `${theirs.hint === 'k' ? 'key' : 'other'}_${c}`),
  );
  const sums = range(plan.rows).map((r) => b.variable(`s_${r}`, splat(site, number(site, 0))));
  // Four neighbours are loaded at once.
  const count = width % 4 ? 1 : 4;
  b.loop('d', width / count, (i) => {
    const steps = range(count).map((u) => ix.offset(ix.scale(ix.atom(i, width / count - 1), count), u));
    const load = ({ node, hint }: Rows, row: Index) =>
      b.bind(`${hint}_v`, together(site, steps.map((c) => at(site, node, [...batch, row, c])))); // prettier-ignore
    const loaded = others.map((other) => load(theirs, other));
    const columns = steps.map((_, u) => b.bind(`${theirs.hint}_${u}`, asVector(site, loaded.map((four) => part(site, four, u))))); // prettier-ignore
    const own = rows.map((row) => load(mine, row));
    addProducts(walk, own, [[sums, columns]]);
  });
  // A store is a loop over the lanes: one for all rows compiles sooner, and stays in the CPU's caches.
  const made = sums.map((sum) => b.read(sum));
  const tile = b.privateArray('products', made);
  const pass = (r: Expr) => {
    const place = ix.add(lane, ix.scale(ix.atom(r, plan.rows - 1), plan.lanes));
    b.storeShared(to, ix.expr(place), b.bind('passed', b.loadShared(tile, r)));
  };
  b.loop('r', plan.rows, pass, true);
}

/** Where four products of the lane's own row lie. */
export const ownPlace = ({ site, plan, lane }: SubgroupWalk, h: number, i: Expr): Expr => {
  const { ix } = site.inline;
  const row = ix.scale(ix.offset(lane, h * plan.lanes), plan.lanes);
  return ix.expr(ix.add(row, ix.atom(i, plan.lanes - 1)));
};

/** Four of the others: the last where there are no more, and what is put in the place of a value of one that is not there. */
export interface Step {
  readonly others: readonly Index[];
  present(u: number, value: Expr, otherwise: Expr): Expr;
}

export function stepOf({ site, plan, n }: SubgroupWalk, other0: Index, i: Expr): Step {
  const { b, inline } = site;
  const { ix } = inline;
  const wanted = range(4).map((u) => ix.offset(ix.add(other0, ix.scale(ix.atom(i, plan.lanes - 1), 4)), u));
  const others = wanted.map((other, u) => ix.clamp(other, n - 1, `key_${u}`));
  const present = (u: number, value: Expr, otherwise: Expr) =>
    others[u] === wanted[u]
      ? value
      : b.call('select', [otherwise, value, b.binary('<', ix.expr(wanted[u]), b.u32(n))], value.type);
  return { others, present };
}

/** Adds to columns the four others of a step, weighed by what the lane has of its rows. */
export function addWeighted(
  walk: SubgroupWalk,
  columns: readonly Columns[],
  weights: readonly Expr[],
  { others, present }: Step,
  of: Rows,
): void {
  const { site, batch } = walk;
  const { b } = site;
  // One that is not there weighs 0, but 0 · ∞ is NaN.
  const valuesOf = (own: readonly Index[]) =>
    others.map((other, u) => {
      const value = together(site, own.map((column) => at(site, of.node, [...batch, other, column]))); // prettier-ignore
      const nothing = number(site, 0);
      return b.bind(`${of.hint}_v`, present(u, value, own.length > 1 ? splat(site, nothing) : nothing));
    });
  addProducts(walk, weights, columns.map((column) => [column.sums, valuesOf(column.own)])); // prettier-ignore
}

/** Stores the sums, as `made` of a row makes them results, of so many rows and columns. */
export function writeColumns(
  walk: SubgroupWalk,
  columns: readonly Columns[],
  [m, width]: readonly [rows: number, columns: number],
  made: (sum: Expr, r: number) => Expr,
  anchor?: Node,
): void {
  const { site, plan, batch, row0, lane } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const { each } = columnsOf(width, plan.lanes);
  const values = columns.flatMap(({ sums }) =>
    range(each).flatMap((u) => sums.map((of, r) => made(part(site, b.read(of), u), r))),
  );
  const tile = b.privateArray('tile', values);
  const count = columns.length * each;
  const store = (j: Expr, r: Expr) => {
    const [own, u] = ix.divmod(ix.atom(j, count - 1), each);
    const column = ix.add(ix.scale(ix.add(lane, ix.scale(own, plan.lanes)), each), u);
    const local = ix.atom(r, plan.rows - 1);
    const place = ix.add(ix.scale(ix.atom(j, count - 1), plan.rows), local);
    const value = b.bind('attended', b.loadShared(tile, ix.expr(place)));
    storeElement(site, batch, [ix.add(row0, local), m], [column, width], value, anchor);
  };
  b.loop('j', count, (j) => b.loop('r', plan.rows, (r) => store(j, r), true), true);
}
