/**
 * Packs that the graphs of a model cannot have together. A parameter lies in one place: in at most one pack. What else a pack must be,
 * each kernel sees to: one that reads something of a pack and gives the new value of something else in there does not write it in
 * place (memory/reuse.ts).
 */
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { isPack, nameOf, offsetsIn, packKey, type Apart } from './packs.ts';

/** `apart`, and besides, of packs that share a parameter, all but the largest, and those that cannot be laid out. */
export function packConflicts(graphs: readonly Graph[], apart: Apart): Apart {
  const more = new Set(apart);
  const packOf = new Map<string, string>();
  for (const { inputs } of packsOf(graphs)) {
    const key = packKey(inputs);
    const names = inputs.map(nameOf);
    const others = names.flatMap((name) => packOf.get(name) ?? []);
    if (more.has(key) || others.includes(key)) continue;
    if (others.length || !startAtWords(inputs)) more.add(key);
    else names.forEach((name) => packOf.set(name, key));
  }
  return more;
}

/** Largest first: it spares the most reads of its input. */
const packsOf = (graphs: readonly Graph[]): Node[] =>
  graphs.flatMap((graph) => nodesOf(graph).filter(isPack)).sort((a, b) => byteSize(b.type) - byteSize(a.type));

/** Whether all parameters start at whole words, as copies to them must. */
const startAtWords = (params: readonly Node[]): boolean => offsetsIn(params).every((offset) => offset % 4 === 0);
