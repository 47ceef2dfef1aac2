/**
 * Bundles: state that is updated together, such as a weight's two moments and its average, lies side by side in one buffer, so
 * that the kernel that updates it binds one buffer for all of it. Devices bind few (WebGPU promises 8), and what a kernel could
 * otherwise not bind beside a product would be a dispatch of its own.
 */
import { sameShape, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { ALIGNMENT, limit, type DeviceSpec } from '../device.ts';
import type { BoundStates, Region } from './regions.ts';

/** Where a state lies. */
export interface Shelf {
  /** Names of all states of the bundle, in order. */
  readonly states: readonly string[];
  /** Elements before it. */
  readonly offset: number;
  /** Elements of the bundle. */
  readonly elements: number;
}

/** Of the states that are bundled, by name. */
export type Bundles = ReadonlyMap<string, Shelf>;

export const NO_BUNDLES: Bundles = new Map();

/** Each state starts where it can be bound by itself, too. */
const aligned = (elements: number): number => Math.ceil(elements / (ALIGNMENT / 4)) * (ALIGNMENT / 4);

/** The bundles of a model: the same for all its entries, which share their state. */
export function bundlesOf(graphs: readonly Graph[], device: DeviceSpec): Bundles {
  const most = Math.min(limit(device, 'maxStorageBufferBindingSize'), limit(device, 'maxBufferSize'));
  const bundles = new Map<string, Shelf>();
  for (const group of groupsOf(graphs)) {
    if (group.length < 2) continue;
    const size = aligned(sizeOf(group[0].type.shape));
    const elements = size * group.length;
    if (4 * elements > most) continue;
    const states = group.map(nameOf);
    states.forEach((name, i) => bundles.set(name, { states, offset: i * size, elements }));
  }
  return bundles;
}

const nameOf = (node: Node): string => String(node.attrs.name);

/** States whose updates are computed from one another, element by element. */
function groupsOf(graphs: readonly Graph[]): Node[][] {
  const groups = new Map<string, Node[]>();
  const join = (a: Node, b: Node): void => {
    const [one, other] = [groups.get(nameOf(a))!, groups.get(nameOf(b))!];
    if (one === other) return;
    one.push(...other);
    for (const node of other) groups.set(nameOf(node), one);
  };
  for (const { updates } of graphs) {
    for (const { state } of updates) if (!groups.has(nameOf(state))) groups.set(nameOf(state), [state]);
    const stateOf = new Map(updates.flatMap(({ state, node }) => [[state, state] as const, [node, state] as const]));
    for (const { state, node } of updates) for (const other of readBeside(node, stateOf)) join(state, other);
  }
  const isBundled = ({ op, type }: Node) => op === 'state' && type.dtype === 'f32';
  // In the order of the updates: `groups` has every state in it.
  const place = new Map([...groups.keys()].map((name, i) => [name, i]));
  const inOrder = (a: Node, b: Node) => place.get(nameOf(a))! - place.get(nameOf(b))!;
  return [...new Set(groups.values())].map((group) => group.filter(isBundled).sort(inOrder));
}

/** The states of the same shape that a value reads, old or new, at the element that it computes. */
function readBeside(value: Node, stateOf: ReadonlyMap<Node, Node>): Set<Node> {
  const found = new Set<Node>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node) || !sameShape(node.type.shape, value.type.shape)) return;
    seen.add(node);
    const state = stateOf.get(node);
    if (state) found.add(state);
    if (opDef(node.op).kind === 'pointwise') node.inputs.forEach(visit);
  };
  visit(value);
  return found;
}

/** The bundles that a kernel binds: those of which it reads or writes several states. `homes`: values written into state. */
export function boundBundles(
  { reads, results, replaces }: Pick<Region, 'reads' | 'results' | 'replaces'>,
  homes: ReadonlyMap<Node, Node>,
  bundles: Bundles,
): BoundStates[] {
  const bound = new Map<readonly string[], Map<Node, { state: string; offset: number }>>();
  const add = (node: Node, state: Node | undefined): void => {
    const shelf = state?.op === 'state' ? bundles.get(nameOf(state)) : undefined;
    if (!shelf) return;
    if (!bound.has(shelf.states)) bound.set(shelf.states, new Map());
    bound.get(shelf.states)!.set(node, { state: nameOf(state!), offset: shelf.offset });
  };
  // What another kernel has written into state is read from there.
  for (const node of reads) add(node, homes.get(node) ?? node);
  for (const { node } of results) add(node, homes.get(node));
  return [...bound].flatMap(([states, parts]) => {
    if (parts.size < 2) return [];
    const { elements } = bundles.get(states[0])!;
    for (const [node, old] of replaces) if (parts.has(node)) parts.set(old, parts.get(node)!);
    const isWritten = results.some(({ node }) => parts.has(node));
    return [{ states, parts, elements, isWritten }];
  });
}
