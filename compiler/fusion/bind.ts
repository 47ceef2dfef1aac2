/** What the kernel of a group binds: what it reads, whole or by windows, and what it writes. Groups become regions. */
import { labelOf, type Node } from '../ir/index.ts';
import { tooManyBuffers } from '../device.ts';
import type { FusionContext } from './context.ts';
import type { Fusion, FusionGroup } from './group.ts';
import type { Region } from './regions.ts';
import { sliceOf } from './slice.ts';
import { isStored } from './storage.ts';
import { spanOver, windowOffset, type Span } from './windows.ts';

/** The kernels of a fusion that all passes have been over, in the same order. */
export const regionsOf = ({ groups, stored }: Fusion, context: FusionContext): Region[] =>
  groups.map((group) => bind(group, stored, context));

function bind(group: FusionGroup, stored: ReadonlySet<Node>, { users, maxReads, remarks }: FusionContext): Region {
  const own = new Set(group.results.map(({ node }) => node));
  const inMemory = (node: Node) => stored.has(node) && !own.has(node);
  const windows = windowsOf(own, inMemory, users);
  const region = collect(group, inMemory, new Set([...windows.values()].flat()));
  // A window is one binding, several of a value are several: too many, and one span of it that holds them all is bound.
  if (region.reads.length + own.size <= maxReads + 1) return region;
  const fewer = collect(group, inMemory, new Set());
  if (region.reads.length <= fewer.reads.length) return region;
  const why = tooManyBuffers(region.reads.length, maxReads, 'piece by piece');
  const spans = spansOf(windows);
  const held = [...spans].map(([value, { start, size }]) => `${labelOf(value)}[${start}…${start + size - 1}]`);
  const instead = held.length ? `: ${held.join(', ')} is bound, which holds its windows` : '';
  remarks?.missed('windows', [group.root, ...windows.keys()], why + instead);
  return { ...fewer, spans };
}

/** Of values that are read by several windows, what holds them; nothing where that is all of the value. */
function spansOf(windows: ReadonlyMap<Node, readonly Node[]>): Map<Node, Span> {
  const held = [...windows].map(([value, cuts]) => [value, spanOver(cuts)] as const);
  return new Map(held.filter(([value, { size }]) => size < value.type.shape[0]));
}

function collect(group: FusionGroup, inMemory: (node: Node) => boolean, windows: ReadonlySet<Node>): Region {
  const values = group.results.map(({ node }) => node);
  const { reads, members } = sliceOf(values, (node) => isStored(node) || inMemory(node) || windows.has(node));
  const inOrder = [...members].sort((a, b) => a.id - b.id);
  return {
    ...group,
    reads: [...reads],
    members: inOrder,
    spans: new Map(),
    replaces: new Map(),
    bundles: [],
    leads: new Map(),
  };
}

/** Most windows of one value that a kernel binds one by one. */
const MAX_WINDOWS = 3;

/** Windows of values that other kernels read elsewhere, by value, where they are all that the region reads of it. */
function windowsOf(
  own: ReadonlySet<Node>,
  inMemory: (node: Node) => boolean,
  users: Map<Node, Node[]>,
): Map<Node, Node[]> {
  const readers = new Map<Node, Set<Node>>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const input of node.inputs) {
      if (isStored(input)) continue;
      if (inMemory(input)) readers.set(input, (readers.get(input) ?? new Set()).add(node));
      else visit(input);
    }
  };
  own.forEach(visit);
  const windows = [...readers].filter(([value, nodes]) => {
    const shared = nodes.size < users.get(value)!.length && nodes.size <= MAX_WINDOWS;
    return shared && [...nodes].every((node) => !own.has(node) && windowOffset(node) !== null);
  });
  return new Map(windows.map(([value, nodes]) => [value, [...nodes]]));
}
