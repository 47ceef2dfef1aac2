/**
 * Packs that the entries of a model cannot have together. A parameter lies in one place: in at most one pack, where an entry that
 * binds it alone must find an aligned offset, and where a dispatch that writes it must read none of its neighbours.
 */
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { isPack, offsetsIn, packKey, type Apart } from '../rewrite/packs.ts';
import type { Region } from '../fusion/regions.ts';

interface Compiled {
  readonly graph: Graph;
  readonly regions: readonly { readonly region: Region }[];
  readonly homes: ReadonlyMap<Node, Node>;
}

/** Where a parameter lies. */
interface Place {
  readonly pack: string;
  readonly offset: number;
}

/** Of packs that share a parameter all but the largest, and those whose parameters cannot be bound as the entries do. */
export function packConflicts(entries: readonly Compiled[], alignment: number): Apart {
  const apart = new Set<string>();
  const places = new Map<string, Place>();
  for (const pack of packsOf(entries)) {
    const key = packKey(pack.inputs);
    const others = pack.inputs.flatMap((param) => places.get(nameOf(param))?.pack ?? []);
    if (others.includes(key)) continue;
    if (others.length || !layOut(pack, places)) apart.add(key);
  }
  for (const { regions, homes } of entries) {
    for (const { region } of regions) {
      const targets = region.results.flatMap(({ node }) => homes.get(node) ?? []);
      const read = region.reads.map((node) => homes.get(node) ?? node);
      const bound = [...read, ...targets];
      for (const param of bound) {
        const place = param.op === 'param' ? places.get(nameOf(param)) : undefined;
        if (place && place.offset % alignment !== 0) apart.add(place.pack);
      }
      for (const target of targets) {
        const written = target.op === 'param' ? places.get(nameOf(target)) : undefined;
        if (written && read.some((node) => bufferOf(node, places) === written.pack)) apart.add(written.pack);
      }
    }
  }
  return apart;
}

/** Largest first: it spares the most reads of its input. */
const packsOf = (entries: readonly Compiled[]): Node[] =>
  entries.flatMap(({ graph }) => nodesOf(graph).filter(isPack)).sort((a, b) => byteSize(b.type) - byteSize(a.type));

/** Whether all parameters start at whole words, as copies to them must. */
function layOut({ inputs }: Node, places: Map<string, Place>): boolean {
  const pack = packKey(inputs);
  const offsets = offsetsIn(inputs);
  if (offsets.some((offset) => offset % 4 !== 0)) return false;
  inputs.forEach((param, i) => places.set(nameOf(param), { pack, offset: offsets[i] }));
  return true;
}

const nameOf = (param: Node): string => String(param.attrs.name);

const bufferOf = (read: Node, places: ReadonlyMap<string, Place>): string | undefined =>
  isPack(read) ? packKey(read.inputs) : read.op === 'param' ? places.get(nameOf(read))?.pack : undefined;
