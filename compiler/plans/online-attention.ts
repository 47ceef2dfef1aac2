/** What the families of online attention share: sizes, and what their blocks of queries take. */
import { sizeOf, type Node } from '../ir/index.ts';
import type { Cost, Group } from './family.ts';

/** Queries, keys, width of a key, width of a value. */
export function sizesOf({ anchor }: Group): { m: number; n: number; d: number; e: number } {
  const [q, k, v] = anchor!.inputs.map(({ type }) => type.shape);
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
