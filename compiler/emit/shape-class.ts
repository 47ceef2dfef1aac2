/**
 * The class that a kernel is tuned in: what decides which plan is fastest, without names of the model. Sizes that a batch scales
 * (rows, the depth of a derivative by weights) are counted up to the next power of two, so that a plan measured for one batch
 * serves its neighbours; those of the model are exact.
 */
import { sizeOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { contiguousAxis } from '../plans/contiguous.ts';
import { kindOf, needsOf, type Group } from '../plans/family.ts';
import { rowAxes, type Region } from '../fusion/regions.ts';
import type { DeviceSpec } from '../device.ts';
import { opsOf } from './describe.ts';

/** A region, or a group of which more is decided later. */
type Classed = Group & Partial<Pick<Region, 'replaces'>>;

/** `product batch<=1 m<=64 n=384 k<=128 f32 f32 f32 last last linear+gelu`: text without line breaks. */
export function shapeClass(region: Classed, device: DeviceSpec): string {
  const { root, reads = [], replaces, results = [], members = [] } = region;
  const bound = [...reads, ...(replaces?.values() ?? []), ...results.map(({ node }) => node)];
  const dtypes = bound.map((node) => node.type.dtype);
  const counted = [...new Set(dtypes)].map((dtype) => `${dtype}*${dtypes.filter((other) => other === dtype).length}`);
  const needs = needsOf(region).map((need) => need.replaceAll(' ', '-'));
  const words = [
    kindOf(region),
    ...sizesOf(region, root),
    ...counted.sort(),
    ...(device.steady ? ['steady'] : []),
    ...needs,
    opsOf({ members }, { views: false }).join('+') || 'copy',
  ];
  return words.join(' ');
}

/** Of a class, what a group has of it before all is decided that is fused with it; and the ops that are. */
export function contractionIn(kind: string): readonly [contraction: string, ops: string] {
  const words = kind.split(' ');
  const ops = words.pop()!;
  return [words.filter((word) => !word.includes('*')).join(' '), ops];
}

const upTo = (name: string, size: number): string => `${name}<=${2 ** Math.ceil(Math.log2(Math.max(1, size)))}`;

function sizesOf({ anchor, reductions = [] }: Classed, root: Node): string[] {
  if (anchor) return contractionSizes(anchor);
  if (!reductions.length) return [upTo('elements', sizeOf(root.type.shape))];
  const { shape, kept, reduced } = rowAxes(reductions);
  const of = (axes: readonly number[]) => sizeOf(axes.map((axis) => shape[axis]));
  // Rows that lie next to each other, as when the last axis is kept.
  const apart = sizeOf(shape.slice(Math.max(...reduced) + 1));
  return [upTo('rows', of(kept)), `length=${of(reduced)}`, ...(apart > 1 ? [upTo('apart', apart)] : [])];
}

function contractionSizes({ op, type: { shape }, inputs }: Node): string[] {
  const batch = upTo('batch', sizeOf(shape.slice(0, -2)));
  const [x, y] = inputs.map((input) => input.type.shape);
  if (opDef(op).contraction === 'product') {
    const layout = [contiguousAxis(inputs[0]), contiguousAxis(inputs[1])];
    return [batch, upTo('m', shape.at(-2)!), `n=${shape.at(-1)}`, upTo('k', x.at(-1)!), ...layout];
  }
  return [batch, upTo('m', shape.at(-2)!), `e=${shape.at(-1)}`, upTo('keys', y?.at(-2) ?? 1), `d=${x.at(-1)}`];
}
