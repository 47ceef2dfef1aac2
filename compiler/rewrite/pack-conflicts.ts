/**
 * Packs that the graphs of a model cannot have together. A parameter lies in one place: in at most one pack, and where it is bound by
 * itself at an aligned offset. What else a pack must be, each kernel sees to: one that reads something of a pack and gives the new
 * value of something else in there does not write it in place (memory/reuse.ts).
 */
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { isApart, isPack, nameOf, offsetsIn, packKey, type Apart } from './packs.ts';

/** Where a parameter lies. */
interface Place {
  readonly pack: string;
  readonly offset: number;
}

/**
 * `apart`, and besides, of packs that share a parameter, all but the largest, and those of which a parameter cannot be bound by itself
 * as the graphs do. What reads a parameter by itself does so in whichever pack it is: no other that has it where no binding starts is
 * tried.
 */
export function packConflicts(graphs: readonly Graph[], apart: Apart): Apart {
  const { alignment } = apart;
  const [packs, alone] = [new Set(apart.packs), new Set(apart.alone)];
  const places = new Map<string, Place>();
  for (const pack of packsOf(graphs)) {
    const key = packKey(pack.inputs);
    const others = pack.inputs.flatMap((param) => places.get(nameOf(param))?.pack ?? []);
    if (isApart(pack.inputs, { packs, alone, alignment }) || others.includes(key)) continue;
    if (others.length || !layOut(pack, places)) packs.add(key);
  }
  const isDisplaced = (param: Node) => (places.get(nameOf(param))?.offset ?? 0) % alignment !== 0;
  const displaced = (all: Apart) => graphs.flatMap((graph) => boundAlone(graph, all)).filter(isDisplaced);
  displaced(apart).forEach((param) => alone.add(nameOf(param)));
  displaced({ packs, alone, alignment }).forEach((param) => packs.add(places.get(nameOf(param))!.pack));
  return { packs, alone, alignment };
}

/** Largest first: it spares the most reads of its input. */
const packsOf = (graphs: readonly Graph[]): Node[] =>
  graphs.flatMap((graph) => nodesOf(graph).filter(isPack)).sort((a, b) => byteSize(b.type) - byteSize(a.type));

/** Whether all parameters start at whole words, as copies to them must. */
function layOut({ inputs }: Node, places: Map<string, Place>): boolean {
  const pack = packKey(inputs);
  const offsets = offsetsIn(inputs);
  if (offsets.some((offset) => offset % 4 !== 0)) return false;
  inputs.forEach((param, i) => places.set(nameOf(param), { pack, offset: offsets[i] }));
  return true;
}

/** Parameters that a graph updates, or reads otherwise than in a pack. A derivative by a parameter does not read it. */
function boundAlone(graph: Graph, apart: Apart): Node[] {
  const isLaidOut = (node: Node) => isPack(node) && !isApart(node.inputs, apart);
  const readers = nodesOf(graph).filter((node) => !isLaidOut(node));
  const read = readers.flatMap(({ op, inputs }) => (opDef(op).kind === 'request' ? inputs.slice(0, 1) : inputs));
  const values = [
    ...read,
    ...graph.outputs.map(({ node }) => node),
    ...graph.updates.flatMap(({ state, node }) => [state, node]),
  ];
  return values.filter(({ op }) => op === 'param');
}
