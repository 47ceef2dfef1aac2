/** What the scheduler and the memory plan decided, as text for people and for tests: `ditc opt --emit regions|memory`. */
import { byteSize, formatType, nodePrinter, type Node } from '../ir/index.ts';
import type { Graph } from '../ir/index.ts';
import type { MemoryPlan } from '../memory/plan.ts';
import type { Region } from '../fusion/regions.ts';
import { describePlan } from '../plans/registry.ts';
import { kernelName, type Use } from './describe.ts';

interface Planned {
  readonly graph: Graph;
  readonly regions: readonly Use[];
  readonly memory: MemoryPlan;
  readonly homes: ReadonlyMap<Node, Node>;
}

/** Kernel by kernel: the plan, the buffers it reads, the ops it computes, the buffer it writes. */
export function regionsText({ graph, regions }: Planned): string {
  const { ref, line } = nodePrinter(graph);
  const typed = (node: Node) => `${ref(node)}: ${formatType(node.type)}`;
  const replaced = (node: Node, { replaces }: Region) =>
    replaces.has(node) ? `, in place of ${ref(replaces.get(node)!)}` : '';
  const kernels = regions.map(({ region, plan }, i) => [
    `kernel ${i + 1}: ${kernelName(region)} — ${region.anchor?.op ?? region.kind}, ${describePlan(plan)}`,
    `  reads  ${region.reads.map(typed).join(', ') || 'nothing'}`,
    ...region.members.map((node) => `    ${line(node)}`),
    `  writes ${region.results.map(({ node }) => typed(node) + replaced(node, region)).join(' · ')}`,
    '',
  ]);
  return [`regions @${graph.name}: ${count(regions.length, 'kernel')}`, '', ...kernels.flat()].join('\n');
}

/** Arena by arena: which bytes hold which value, from the kernel that writes it to the last that reads it. */
export function memoryText({ graph, regions, memory, homes }: Planned): string {
  const { ref } = nodePrinter(graph);
  const replaced = new Map(regions.flatMap(({ region }) => [...region.replaces]));
  const placed = [...memory.places].map(([node, place]) => ({ node, ...place, ...memory.lifetimes.get(node)! }));
  const heirOf = (node: Node) => (replaced.get(node) ? `, in place of ${ref(replaced.get(node)!)}` : '');
  const until = (step: number) => (step >= regions.length ? 'the end' : `kernel ${step + 1}`);
  const arenas = memory.arenas.flatMap((bytes, arena) => [
    `  arena ${arena}: ${bytes} bytes`,
    ...placed
      .filter((value) => value.arena === arena)
      .sort((a, b) => a.offset - b.offset || a.from - b.from)
      .map(({ node, offset, size, from, to }) => {
        const life = `kernel ${from + 1} to ${until(to)}`;
        return `    bytes ${offset}–${offset + size}  ${ref(node)}: ${formatType(node.type)}, ${life}${heirOf(node)}`;
      }),
  ]);
  const settled = [...homes].map(([node, state]) => {
    return `  ${ref(state)}: ${byteSize(state.type)} bytes, written by the kernel of ${ref(node)}`;
  });
  const sum = `${memory.peakBytes} bytes in ${count(memory.arenas.length, 'arena')}`;
  const head = `memory @${graph.name}: ${sum}, at least ${memory.lowerBoundBytes} live at once`;
  return [head, ...arenas, ...settled, ''].join('\n');
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
