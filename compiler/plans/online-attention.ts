/** What the families of online attention share: sizes, and what their blocks of queries take. */
import { sizeOf, type Node } from '../ir/index.ts';
import type { DeviceSpec } from '../device.ts';
import { contractionOf } from '../ops/index.ts';
import type { Cost, Group } from './family.ts';
import { subgroupsOf } from './fragments.ts';

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

/** Subgroups by whose shuffles a workgroup reduces rows whose invocations lie beside each other, `across` a row; of 0 lanes where none can. */
export function shuffles(device: DeviceSpec, across: number): { subgroup: number; sized: boolean } {
  const subgroups = subgroupsOf(device);
  const isWhole = subgroups && subgroups.lanes % across === 0;
  return isWhole ? { subgroup: subgroups.lanes, sized: subgroups.sized } : { subgroup: 0, sized: false };
}
