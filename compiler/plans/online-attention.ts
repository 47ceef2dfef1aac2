/** What the families of online attention share: sizes, and what their blocks of queries take. */
import { sizeOf, type Node } from '../ir/index.ts';
import { fixedSubgroupSize, type DeviceSpec } from '../device.ts';
import { contractionOf } from '../ops/index.ts';
import type { Cost, Group } from './family.ts';

/** Queries, keys, width of a key, width of a value; 0 where there are none. */
export function sizesOf({ anchor }: Group): { m: number; n: number; d: number; e: number } {
  const [q, k, v] = anchor!.inputs.map(({ type }) => type.shape);
  if (contractionOf(anchor!.op) === 'attention-statistics')
    return { m: q[q.length - 2], n: k[k.length - 2], d: k[k.length - 1], e: 0 };
  return { m: q[q.length - 2], n: k[k.length - 2], d: k[k.length - 1], e: v[v.length - 1] };
}

/** Queries are read once; keys and values pass by once for each block of them; a bias and a mask are asked for at each score. */
export function onlineCost(group: Group, rows: number): Cost {
  const { m, n, d, e } = sizesOf(group);
  const blocks = Math.ceil(m / rows);
  const perScore = (input: Node) => (m * n) / sizeOf(input.type.shape.slice(-2));
  const loads = group.anchor!.inputs.map((input, i) => (i > 2 ? perScore(input) : i > 0 ? blocks : 1));
  return { macs: sizeOf(group.anchor!.type.shape.slice(0, -2)) * blocks * rows * n * (d + e), loads };
}

/**
 * The size of the subgroups by which a workgroup reduces rows whose invocations lie beside each other, `across` a row; 0 where the
 * device cannot be told one.
 */
export function shuffleSize(device: DeviceSpec, across: number): number {
  const { subgroups, features } = device;
  const isTold = ['subgroups', 'subgroup-size-control'].every((feature) => features.includes(feature));
  const size = fixedSubgroupSize(device) ?? (subgroups && Math.max(32, subgroups.min));
  const isSize = subgroups && size && size <= subgroups.max && size % across === 0;
  return isTold && isSize ? size : 0;
}
