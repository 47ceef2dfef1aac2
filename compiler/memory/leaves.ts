/** What an entry takes beside its activations. */
import { byteSize, nodesOf, type Graph } from '../ir/index.ts';
import { isPack } from '../rewrite/packs.ts';
import { isStored } from '../fusion/storage.ts';

/** Bytes of what a graph finds in memory: parameters, state, inputs and dense constants, by name. */
export function leafBytes(graph: Graph): Map<string, number> {
  const leaves = nodesOf(graph).filter((node) => isStored(node) && !isPack(node));
  return new Map(leaves.map((leaf) => [`${leaf.op} ${String(leaf.attrs.name ?? leaf.id)}`, byteSize(leaf.type)]));
}

/** Their sum. */
export const bytesOfAll = (leaves: ReadonlyMap<string, number>): number =>
  [...leaves.values()].reduce((sum, bytes) => sum + bytes, 0);

/** Bytes of what only other graphs than that of `own` find in memory. */
export function bytesBeside(own: ReadonlyMap<string, number>, all: readonly ReadonlyMap<string, number>[]): number {
  const others = new Map(all.flatMap((leaves) => [...leaves].filter(([key]) => !/^constant/.test(key))));
  for (const key of own.keys()) others.delete(key);
  return bytesOfAll(others);
}
