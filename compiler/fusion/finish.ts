/** A draft, once it is settled, as a region: what its kernel computes, what it reads, whole or by windows, and what it writes. */
import { labelOf, type Node, type Remarks } from '../ir/index.ts';
import { tooManyBuffers } from '../device.ts';
import { insideOf } from './inside.ts';
import { resultsOf, type Draft, type Region, type Result } from './regions.ts';
import { isStored } from './storage.ts';
import { spanOver, windowOffset, type Span } from './windows.ts';

interface Surroundings {
  readonly users: Map<Node, Node[]>;
  /** Buffers that a kernel may read. */
  readonly maxReads: number;
  readonly remarks?: Remarks;
}

/** Finds what a region computes, what it reads and what it writes. */
export function finish(draft: Draft, written: ReadonlySet<Node>, { users, maxReads, remarks }: Surroundings): Region {
  const results = resultsOf(draft)
    .filter(({ node }) => written.has(node))
    .sort((a, b) => a.node.id - b.node.id);
  const own = new Set(results.map(({ node }) => node));
  const inMemory = (node: Node) => written.has(node) && !own.has(node);
  const windows = windowsOf(own, inMemory, users);
  const region = collect(draft, results, inMemory, new Set([...windows.values()].flat()));
  // A window is one binding, several of a value are several: too many, and one span of it that holds them all is bound.
  if (region.reads.length + results.length <= maxReads + 1) return region;
  const fewer = collect(draft, results, inMemory, new Set());
  if (region.reads.length <= fewer.reads.length) return region;
  const why = tooManyBuffers(region.reads.length, maxReads, 'piece by piece');
  const spans = spansOf(windows);
  const held = [...spans].map(([value, { start, size }]) => `${labelOf(value)}[${start}…${start + size - 1}]`);
  const instead = held.length ? `: ${held.join(', ')} is bound, which holds its windows` : '';
  remarks?.missed('windows', [draft.root, ...windows.keys()], why + instead);
  return { ...fewer, spans };
}

/** Of values that are read by several windows, what holds them; nothing where that is all of the value. */
function spansOf(windows: ReadonlyMap<Node, readonly Node[]>): Map<Node, Span> {
  const held = [...windows].map(([value, cuts]) => [value, spanOver(cuts)] as const);
  return new Map(held.filter(([value, { size }]) => size < value.type.shape[0]));
}

function collect(
  { kind, root, anchor, reductions, sums = [], pieces, totals = [], views }: Draft,
  results: readonly Result[],
  inMemory: (node: Node) => boolean,
  windows: ReadonlySet<Node>,
): Region {
  const { reads, members } = insideOf(
    results.map(({ node }) => node),
    (node) => isStored(node) || inMemory(node) || windows.has(node),
  );
  return {
    ...{ kind, root, anchor, views, results },
    reductions: reductions.filter((node) => members.has(node)),
    sums: sums.filter((node) => members.has(node)),
    totals: totals.filter((node) => members.has(node)),
    ...(pieces && { pieces }),
    reads: [...reads],
    members: [...members].sort((a, b) => a.id - b.id),
    spans: new Map(),
    replaces: new Map(),
    bundles: [],
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
