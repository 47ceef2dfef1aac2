/** What the lowerings of all families share: the grid that is launched, the operands of a product, and how results are stored. */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { depthParts, type Part } from './depth-parts.ts';
import type { Result } from '../fusion/group.ts';
import type { Region } from '../fusion/regions.ts';
import { writesSlice } from '../ops/index.ts';
import type { KernelBuilder } from '../kernel/builder.ts';
import { maxOf, ZERO, type Index } from '../kernel/index-map.ts';
import { areShownAlike, whereShown } from '../kernel/crops.ts';
import { broadcastIndex, forwardIndex, type Inliner } from '../kernel/inline.ts';
import type { Buffer, Expr } from '../kernel/ir.ts';
import { MAX_GRID } from './grid.ts';

/** What a lowering writes a kernel with. */
export interface Site {
  readonly region: Region;
  readonly b: KernelBuilder;
  readonly inline: Inliner;
  readonly outputs: readonly Output[];
}

/** A result and where it goes. */
export interface Output extends Result {
  readonly buffer: Buffer;
  /** Elements before it in the buffer. */
  readonly offset: number;
}

export interface Launch {
  readonly workgroupSize: number;
  readonly grid: readonly [number, number, number];
  /** Of a workgroup of several subgroups: their size, and whether the kernel asks for it (it is the device's only one otherwise). */
  readonly subgroup?: { readonly size: number; readonly sized: boolean };
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export const builtins = (b: KernelBuilder) => ({
  /** Position in the workgroup. */
  lane: b.name('lane', 'u32', 0),
  groupX: b.name('group.x', 'u32', 0),
  groupY: b.name('group.y', 'u32', 0),
  groupZ: b.name('group.z', 'u32', 0),
});

const GROUP_NAMES = { groupX: 'group_x', groupY: 'group_y', groupZ: 'group_z' } as const;

/**
 * Position of the workgroup along an axis of a grid of `count`, written as `min(position, count − 1)`: drivers then know a bound of it, and
 * that accesses are inside. The bound is part of the text, so kernels of different grids are not shared.
 */
export function boundedGroup({ b, inline }: Site, axis: keyof typeof GROUP_NAMES, count: number): Index {
  const bounded = b.call('min', [builtins(b)[axis], b.u32(count - 1)]);
  return count === 1 ? ZERO : inline.ix.bounded(b.bind(GROUP_NAMES[axis], bounded), count - 1);
}

/** Position of the workgroup in a folded line. */
export function linearGroup(b: KernelBuilder, workgroups: number): Expr {
  const { groupX, groupY } = builtins(b);
  if (workgroups <= MAX_GRID) return groupX;
  return b.bind('group_index', b.binary('+', groupX, b.binary('*', groupY, b.u32(MAX_GRID))));
}

/** Position of the invocation in a line of `total`, leaving those beyond it. */
export function linearInvocation({ b, inline }: Site, total: number, workgroup: number): Index {
  const workgroups = Math.ceil(total / workgroup);
  const group = b.binary('*', linearGroup(b, workgroups), b.u32(workgroup));
  const i = b.bind('i', b.binary('+', group, builtins(b).lane));
  if (workgroups * workgroup !== total || workgroups > MAX_GRID) b.returnIf(b.binary('>=', i, b.u32(total)));
  return inline.ix.atom(i, total - 1);
}

/**
 * Computes the results at an index of the kernel's domain and stores them, where they show it; of a row kernel those on one of its two domains.
 * All are computed before the first is stored: it may replace what another reads.
 */
export function storeResults(site: Site, index: readonly Index[], which: readonly Output[] = site.outputs): void {
  const [slice] = which.filter(({ node }) => writesSlice(node));
  if (slice) return storeSlice(site, index, slice);
  if (which.length) whereShown(site.inline, which[0].views, index, () => storeShown(site, index, which));
}

function storeShown(site: Site, index: readonly Index[], which: readonly Output[]): void {
  const { b, inline } = site;
  const stores = which.map((output) => {
    const { buffer } = output;
    const { place, value } = elementAt(site, index, output);
    return { buffer, place: inline.ix.expr(place), value: named(site, output, value, which) };
  });
  for (const { buffer, place, value } of stores) b.store(buffer, place, value);
}

/** The same of what writes a slice in place: an element of the slice, where it lies inside of the whole. */
function storeSlice({ b, inline }: Site, index: readonly Index[], { node, buffer, offset }: Output): void {
  const { ix } = inline;
  const [value, start] = node.inputs;
  const { shape } = node.type;
  const axis = Number(node.attrs.axis);
  const first = inline.value(start, broadcastIndex(index.with(axis, ZERO), start.type.shape));
  // Before the first element is beyond the last, as unsigned numbers go.
  const at = b.bind('at', b.binary('+', b.convert(first, 'u32'), ix.expr(index[axis])));
  b.when(b.binary('<', at, b.u32(shape[axis])), () => {
    const place = ix.flatten(index.with(axis, ix.atom(at, shape[axis] - 1)), shape);
    b.store(buffer, ix.expr(ix.offset(place, offset)), inline.value(value, index));
  });
}

/** A result at an index of the kernel's domain, and where in its buffer it goes. */
function elementAt({ inline }: Site, index: readonly Index[], { node, views, offset }: Output) {
  const { ix } = inline;
  const at = forwardIndex(ix, views, index);
  const value = inline.value(node, at);
  return { value, place: ix.offset(ix.flatten(at, node.type.shape), offset) };
}

/** Values that are stored together have names: all are there before the first is stored. */
const named = ({ b }: Site, { node }: Output, value: Expr, together: readonly Output[]): Expr =>
  together.length > 1 ? b.bind(node.name ?? node.op, value) : value;

const outputsOf = ({ outputs, region }: Site, anchor: Node): Output[] =>
  outputs.filter((output) => (output.anchor ?? region.anchor) === anchor);

function whereAll(b: KernelBuilder, conditions: readonly Expr[], body: () => void): void {
  if (!conditions.length) return body();
  const holds = conditions.reduce((x, y) => b.binary('&&', x, y));
  b.when(holds, body);
}

/**
 * Stores the results of an anchor, the main one unless told, where its element (batch, row, column) has `value`. Rows and columns come with their number:
 * positions of a partial tile beyond it are computed at the last one and not stored.
 */
export function storeElement(
  site: Site,
  batch: readonly Index[],
  [row, rows]: readonly [Index, number],
  [column, columns]: readonly [Index, number],
  value: Expr,
  anchor = site.region.anchor!,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const own = outputsOf(site, anchor);
  if (!own.length) return;
  const m = ix.clamp(row, rows - 1, 'row');
  const n = ix.clamp(column, columns - 1, 'column');
  inline.given.set(anchor, () => value);
  const isInside = [
    ...(n !== column ? [b.binary('<', ix.expr(column), b.u32(columns))] : []),
    ...(m !== row ? [b.binary('<', ix.expr(row), b.u32(rows))] : []),
  ];
  whereAll(b, isInside, () => storeResults(site, [...batch, m, n], own));
}

/**
 * The same of four columns from `column` on, a multiple of 4 as their number is.
 */
export function storeFour(
  site: Site,
  batch: readonly Index[],
  [row, rows]: readonly [Index, number],
  [column, columns]: readonly [Index, number],
  four: Expr,
  anchor = site.region.anchor!,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const own = outputsOf(site, anchor);
  if (!own.length) return;
  const m = ix.clamp(row, rows - 1, 'row');
  const [raw] = ix.divmod(column, 4);
  const n = ix.scale(ix.clamp(raw, columns / 4 - 1, 'columns'), 4);
  const isInside = [
    ...(maxOf(column) >= columns ? [b.binary('<', ix.expr(column), b.u32(columns))] : []),
    ...(m !== row ? [b.binary('<', ix.expr(row), b.u32(rows))] : []),
  ];
  const given = (u: number) => inline.given.set(anchor, () => b.component(four, u));
  whereAll(b, isInside, () => storeFours(site, own, (u) => [...batch, m, ix.offset(n, u)], given));
}

/**
 * Stores the results at four indices of the kernel's domain: as one vector where the buffer may be declared in fours and the four lie side by
 * side. `select` is called before anything is computed at index u.
 */
export function storeFours(
  site: Site,
  which: readonly Output[],
  index: (u: number) => readonly Index[],
  select?: (u: number) => void,
): void {
  const { inline } = site;
  const [{ views }] = which;
  const indices = range(4).map(index);
  if (areShownAlike(inline, views, indices))
    return whereShown(inline, views, indices[0], () => storeFoursShown(site, which, indices, select));
  indices.forEach((at, u) => {
    select?.(u);
    storeResults(site, at, which);
  });
}

function storeFoursShown(
  site: Site,
  which: readonly Output[],
  indices: readonly (readonly Index[])[],
  select?: (u: number) => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const elements = indices.map((index, u) => {
    select?.(u);
    return which.map((output) => {
      const { value, place } = elementAt(site, index, output);
      return { value: named(site, output, value, which), place };
    });
  });
  which.forEach(({ buffer }, i) => {
    const [places, values] = [elements.map((all) => all[i].place), elements.map((all) => all[i].value)];
    const place = buffer.fours ? ix.foursAt(places) : undefined;
    if (place) b.store(buffer, ix.expr(place), asVector(site, values));
    else places.forEach((at, u) => b.store(buffer, ix.expr(at), values[u]));
  });
}

/**
 * Stores what is computed from the sum of the left operand's row: at the row, once. `isFirst` holds where the kernel's first
 * columns are computed; the others have the same sums. `row` may count on that.
 */
export function storeSums(site: Site, row: () => Index, rows: number, isFirst: Expr, sum: Expr): void {
  const { b, inline, region } = site;
  const { ix } = inline;
  const isPartial = maxOf(row()) >= rows;
  b.when(isPartial ? b.binary('&&', isFirst, b.binary('<', ix.expr(row()), b.u32(rows))) : isFirst, () => {
    const m = ix.clamp(row(), rows - 1, 'row');
    for (const node of region.sums) {
      inline.given.set(node, () => sum);
      const own = site.outputs.filter(({ anchor }) => anchor === node);
      storeResults(site, inline.ix.unflatten(m, node.type.shape), own);
    }
  });
}

/** The two operands of a product, at (batch, m, k) and (batch, k, n). */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: Shape;
  /** Of the depth, to walk over one after the other. */
  readonly parts: readonly Part[];
  left(batch: readonly Index[], m: Index, k: Index): Expr;
  right(batch: readonly Index[], k: Index, n: Index): Expr;
  /** Nodes of the operands. */
  readonly operands: readonly [Node, Node];
}

export function productOf({ region, inline }: Site): Product {
  const { anchor } = region;
  const [x, y] = anchor!.inputs;
  const shape = anchor!.type.shape;
  const [m, n] = shape.slice(-2);
  const at = (node: Node, index: Index[]) => inline.value(node, broadcastIndex(index, node.type.shape));
  return {
    m,
    n,
    k: x.type.shape[x.type.shape.length - 1],
    batch: shape.slice(0, -2),
    parts: depthParts(anchor!, (node) => inline.buffers.has(node) || inline.given.has(node)),
    left: (batch, row, k) => at(x, [...batch, row, k]),
    right: (batch, k, column) => at(y, [...batch, k, column]),
    operands: [x, y],
  };
}

/** Batch position of a workgroup: its z. */
export function batchIndex({ b, inline }: Site, batch: Shape): Index[] {
  return inline.ix.unflatten(inline.ix.atom(builtins(b).groupZ, sizeOf(batch) - 1), batch);
}

/** The same, with a bound that drivers know (`boundedGroup`). */
export const boundedBatch = (site: Site, batch: Shape): Index[] =>
  site.inline.ix.unflatten(boundedGroup(site, 'groupZ', sizeOf(batch)), batch);

/** Four values as a vector; the components of one vector, in order, are that vector. */
export const asVector = ({ b }: Site, four: readonly Expr[]): Expr =>
  vectorOf(b, four) ?? b.call('vec4f', four, 'vec4f');

/** The vector that four values are: its components in order, or these where one condition holds, and one number elsewhere. */
function vectorOf(b: KernelBuilder, four: readonly Expr[]): Expr | undefined {
  const [first] = four;
  if (first.kind === 'component') {
    const { of } = first;
    return four.every((x, i) => x.kind === 'component' && x.of === of && x.lane === i) ? of : undefined;
  }
  const chosen = four.flatMap((x) => (x.kind === 'call' && x.fn === 'select' ? [x.args] : []));
  const [[none, , holds] = []] = chosen;
  const isAlike = chosen.length === 4 && chosen.every((args) => args[0] === none && args[2] === holds);
  if (!isAlike || none.kind !== 'literal') return undefined;
  const inside = vectorOf(
    b,
    chosen.map(([, x]) => x),
  );
  return inside && b.call('select', [b.call('vec4f', [none], 'vec4f'), inside, holds]);
}
