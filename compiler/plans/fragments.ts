/**
 * Matrix units: which fragments a device multiplies, and a block of them, as a subgroup holds it: operands come from tiles in workgroup
 * memory (fragment-tiles.ts), results go through workgroup memory to the invocations, which have no element of a fragment themselves.
 */
import type { DType } from '../ir/index.ts';
import { isHardware, type DeviceSpec } from '../device.ts';
import type { Index } from '../kernel/index-map.ts';
import type { Expr, SharedArray, Variable } from '../kernel/ir.ts';
import { fragment } from '../kernel/types.ts';
import { range, type Site } from './common.ts';
import type { FragmentTile } from './fragment-tiles.ts';

/** result[m,n] of f32 += left[m,k] · right[k,n] of `of`, by subgroups of `lanes`. */
export interface FragmentShape {
  readonly of: 'f16' | 'f32';
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly lanes: number;
  /** Whether the kernel asks for subgroups of so many lanes: the device has them of several sizes. */
  readonly sized: boolean;
}

const MATRIX = 'chromium-experimental-subgroup-matrix';

/** The sizes of subgroups that kernels may count on: the one there is, or the least where they may ask. */
export function subgroupsOf({ subgroups, features }: DeviceSpec): Pick<FragmentShape, 'lanes' | 'sized'> | undefined {
  if (!subgroups || !features.includes('subgroups')) return undefined;
  const { min: lanes, max } = subgroups;
  if (lanes === max) return { lanes, sized: false };
  return features.includes('subgroup-size-control') ? { lanes, sized: true } : undefined;
}

/** Why a kernel cannot count on such subgroups; undefined where it can. */
export function badSubgroups(
  { lanes, sized }: Pick<FragmentShape, 'lanes' | 'sized'>,
  device: DeviceSpec,
): string | undefined {
  const can = subgroupsOf(device);
  if (can?.lanes === lanes && can.sized === sized) return undefined;
  return `subgroups of ${lanes}: ${device.name} has ${can?.lanes ?? 'none of a size'}`;
}

/**
 * What matrix units multiply of operands of a type, with sums of f32; those of most multiply-adds first. Operands of f16 may be
 * multiplied as f32, which has them all; those of f32 are never rounded.
 */
export function fragmentShapes(device: DeviceSpec, operands: DType): FragmentShape[] {
  const subgroups = subgroupsOf(device);
  if (!isHardware(device) || !subgroups || !device.features.includes(MATRIX)) return [];
  const can = (of: string) => of === operands || (of === 'f32' && operands === 'f16');
  const shapes = (device.subgroupMatrix ?? []).flatMap(
    ({ componentType, resultComponentType, M, N, K }): FragmentShape[] =>
      resultComponentType === 'f32' && can(componentType)
        ? [{ of: componentType as 'f16' | 'f32', m: M, n: N, k: K, ...subgroups }]
        : [],
  );
  const size = ({ of, m, n, k }: FragmentShape) => (of === operands ? 2 : 1) * m * n * k;
  return shapes.sort((a, b) => size(b) - size(a));
}

export const sameFragments = (a: FragmentShape, b: FragmentShape): boolean =>
  (['of', 'm', 'n', 'k', 'lanes', 'sized'] as const).every((key) => a[key] === b[key]);

/** Rows and columns of fragments that a subgroup holds, and where its block begins in the tiles of the workgroup. */
export interface FragmentBlock {
  readonly shape: FragmentShape;
  readonly rows: number;
  readonly columns: number;
  /** The first row and column, as tiles count them. */
  readonly row: Index;
  readonly column: Index;
  readonly sums: readonly (readonly Variable[])[];
}

/** A block of zeros. */
export function zeroBlock({ b }: Site, place: Omit<FragmentBlock, 'sums'>, hint = 'sum'): FragmentBlock {
  const { shape, rows, columns } = place;
  const zero = b.zeroFragment(fragment('f32', shape.m, shape.n, 'result'));
  const sums = range(rows).map((r) => range(columns).map((c) => b.variable(`${hint}_${r}_${c}`, zero)));
  return { ...place, sums };
}

/** Sums of the rows of a block's left operand: fragments whose columns all are that sum. Where nobody wants them, none is added up. */
export interface FragmentSums {
  /** Whether somebody wants the sums; all invocations of the workgroup have the same answer. */
  readonly isWanted: Expr;
  readonly ones: Expr;
  readonly sums: readonly Variable[];
}

export function zeroSums({ b }: Site, { shape, rows }: FragmentBlock, isWanted: Expr): FragmentSums {
  const { of, m, n, k } = shape;
  const zero = b.zeroFragment(fragment('f32', m, n, 'result'));
  const ones = b.bind('ones', b.fragmentOf(1, fragment(of, k, n, 'right')));
  return { isWanted, ones, sums: range(rows).map((r) => b.variable(`row_sum_${r}`, zero)) };
}

/** What fragments are loaded from. */
export type Operand = Pick<FragmentTile, 'array' | 'stride' | 'depth'>;

/** Adds the product of two staged tiles, left by its rows and right by its columns, to the block; and the left one's rows to their sums. */
export function multiplyTiles(
  site: Site,
  block: FragmentBlock,
  left: Operand,
  right: Operand,
  rowSums?: FragmentSums,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { of, m, n, k } = block.shape;
  const steps = left.depth / k;
  b.loop('step', steps, (step) => {
    const along = ix.scale(ix.atom(step, steps - 1), k / 4);
    const place = ({ array, stride }: Operand, row: Index) => ({
      array,
      offset: b.bind('at', ix.expr(ix.add(ix.scale(row, stride), along))),
      stride: b.u32(stride),
    });
    const rights = range(block.columns).map((c) => {
      const from = place(right, ix.offset(block.column, c * n));
      return b.bind(`w_${c}`, b.loadFragment(fragment(of, k, n, 'right'), { ...from, by: 'columns' }));
    });
    const lefts = range(block.rows).map((r) => {
      const from = place(left, ix.offset(block.row, r * m));
      const a = b.bind(`a_${r}`, b.loadFragment(fragment(of, m, k, 'left'), { ...from, by: 'rows' }));
      block.sums[r].forEach((sum, c) => b.assign(sum, b.multiplyAccumulate(a, rights[c], b.read(sum))));
      return a;
    });
    if (!rowSums) return;
    const { isWanted, ones, sums } = rowSums;
    b.when(isWanted, () => sums.forEach((sum, r) => b.assign(sum, b.multiplyAccumulate(lefts[r], ones, b.read(sum)))));
  });
}

/** Columns that go through workgroup memory at a time: lanes beside each other then store elements beside each other. */
const STRIP = 32;

/** Fragments side by side that go through workgroup memory at a time. */
const stripOf = ({ n }: Pick<FragmentShape, 'n'>, columns: number): number =>
  Math.max(
    ...range(columns)
      .map((i) => i + 1)
      .filter((count) => columns % count === 0 && (count === 1 || count * n <= STRIP)),
  );

/** Vectors of workgroup memory through which a subgroup hands out its results. */
export const handoutOf = (shape: FragmentShape, columns: number): number =>
  (shape.m * stripOf(shape, columns) * shape.n) / 4;

/** Through which memory a subgroup hands out its results: an array of vectors, of which each subgroup has its part. */
export interface Handout {
  readonly array: SharedArray;
  /** This subgroup's number, and this invocation's in it. */
  readonly subgroup: Index;
  readonly lane: Index;
}

/**
 * Calls `visit` with each four elements of a row that are this invocation's, by row and column in the tiles of the workgroup. All
 * subgroups of the workgroup must come by.
 */
export function eachFour(
  site: Site,
  { shape, rows, columns, row, column, sums }: FragmentBlock,
  { array, subgroup, lane }: Handout,
  visit: (row: Index, column: Index, four: Expr) => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { m, n, lanes } = shape;
  const count = stripOf(shape, columns);
  const [width, strips] = [count * n, columns / count];
  const own = ix.scale(subgroup, handoutOf(shape, columns));
  const storeStrip = (i: number) =>
    range(count).forEach((c) => {
      const sum = sums[Math.floor(i / strips)][(i % strips) * count + c];
      const offset = ix.expr(ix.offset(own, (c * n) / 4));
      b.storeFragment(b.read(sum), { array, offset, stride: b.u32(width / 4), by: 'rows' });
    });
  b.loop('part', rows * strips, (part) => {
    const [r, s] = ix.divmod(ix.atom(part, rows * strips - 1), strips);
    range(rows * strips).forEach((i) =>
      rows * strips === 1 ? storeStrip(i) : b.when(b.binary('==', part, b.u32(i)), () => storeStrip(i)),
    );
    b.barrier();
    const rounds = (m * width) / (4 * lanes);
    b.loop('e', rounds, (e) => {
      const at = ix.add(ix.scale(ix.atom(e, rounds - 1), lanes), lane);
      const [i, four] = ix.divmod(at, width / 4);
      const value = b.bind('product', b.loadShared(array, ix.expr(ix.add(own, at))));
      const first = ix.add(ix.add(column, ix.scale(s, width)), ix.scale(four, 4));
      visit(ix.add(ix.add(row, ix.scale(r, m)), i), first, value);
    });
    b.barrier();
  });
}

/** Calls `visit` with the sum of each row that is this invocation's to store, where `isOne` holds. */
export function eachRowSum(
  site: Site,
  { shape, columns, row }: FragmentBlock,
  { isWanted, sums }: FragmentSums,
  { array, subgroup, lane }: Handout,
  visit: (row: () => Index, isOne: Expr, sum: Expr) => void,
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const { m, n } = shape;
  const own = ix.scale(subgroup, handoutOf(shape, columns));
  b.when(isWanted, () =>
    sums.forEach((sum, r) => {
      b.storeFragment(b.read(sum), { array, offset: ix.expr(own), stride: b.u32(n / 4), by: 'rows' });
      b.barrier();
      const at = ix.clamp(lane, m - 1, 'row');
      const total = b.bind('total', b.component(b.loadShared(array, ix.expr(ix.add(own, ix.scale(at, n / 4)))), 0));
      visit(() => ix.add(ix.offset(row, r * m), at), b.binary('<', ix.expr(lane), b.u32(m)), total);
      b.barrier();
    }),
  );
}
