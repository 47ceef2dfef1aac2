/** The second half for one graph: what shares a kernel, by which algorithm, and where its results lie. */
import type { Bundles } from './fusion/bundles.ts';
import { checkComputable } from './fusion/computable.ts';
import type { Region } from './fusion/regions.ts';
import { isStored } from './fusion/storage.ts';
import { nodesOf, Remarks, results, type Graph, type Node } from './ir/index.ts';
import { verify } from './ir/verify.ts';
import { checkBinding, checkMemory } from './memory/check.ts';
import { formKernels } from './memory/form-kernels.ts';
import { bytesOfAll, leafBytes } from './memory/leaves.ts';
import { planMemory, type MemoryPlan } from './memory/plan.ts';
import { opTable, writesSlice } from './ops/index.ts';
import type { CompileOptions } from './options.ts';
import { isRejected } from './plans/family.ts';
import { choosePlan, planFor, type Plan } from './plans/registry.ts';
import { fitMemory, macsOfAll } from './recompute/fit.ts';
import { expandAll } from './rewrite/expand.ts';
import type { Packed } from './rewrite/packs.ts';
import { limit, type DeviceSpec } from './device.ts';

/** An entry ready for emission. */
export interface Scheduled {
  readonly graph: Graph;
  /** The graph before the passes that rewrite it. */
  readonly traced: Graph;
  readonly regions: readonly { readonly region: Region; readonly plan: Plan }[];
  readonly memory: MemoryPlan;
  /** Values written straight into the state that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
  /** Multiply-accumulates that are done a second time, to need less memory. */
  readonly recomputedMacs: number;
  /** What was decided on the way, and why. */
  readonly remarks: Remarks;
}

/** What lies side by side in all graphs of a model: states, and parameters. */
export interface Layout {
  readonly bundles: Bundles;
  readonly packed: Packed;
}

/** What `onPass` calls the choice of what to compute twice. */
const RECOMPUTE = { name: 'recompute', doc: 'what the memory cannot hold is computed again where it is read' };

/** What is one kernel, by which algorithm, and where its result lies. */
export function planKernels(
  graph: Graph,
  options: CompileOptions,
  layout: Layout,
  passed: Remarks,
): Omit<Scheduled, 'traced'> {
  const { device, memory, onPass, onFusion } = options;
  const budget = memory === undefined ? Infinity : memory - bytesOfAll(leafBytes(graph));
  const place = (candidate: Graph) => placeKernels(candidate, options, layout, passed);
  const { first, best } = fitMemory(graph, place, budget);
  if (memory !== undefined) onPass?.(RECOMPUTE.name, best.graph);
  best.fusions.forEach((fusion, name) => onFusion?.(name, fusion));
  checkMemory(best.memory, best.steps, device);
  const planOf = (region: Region) =>
    choosePlan(region, device, best.remarks, options.plan?.(region, device) ?? keptPlan(region, device));
  const regions = best.regions.map((region) => ({ region, plan: planOf(region) }));
  const recomputedMacs = macsOfAll(best.formed) - macsOfAll(first.formed);
  return { ...best, regions, recomputedMacs };
}

/** The plan of the group, unless what the kernel binds in the end rules it out. */
const keptPlan = (region: Region, device: DeviceSpec): Plan | undefined =>
  region.plan && !isRejected(planFor(region, device, region.plan)) ? region.plan : undefined;

/** A graph’s kernels in order, and where values lie. */
function placeKernels(graph: Graph, options: CompileOptions, layout: Layout, passed: Remarks) {
  const { device, plan, verify: checked, fusion: passes } = options;
  if (checked) verify(graph, opTable);
  const remarks = new Remarks(passed.list);
  for (const node of nodesOf(graph)) if (isStored(node)) checkBinding(node, device);
  const { formed, fusions, regions, steps, homes } = formKernels(
    graph,
    { device, plan, ...layout, passes, verify: checked },
    remarks,
  );
  const whole = writtenWhole(regions);
  if (whole.size) return placeKernels(expandAll(graph, whole), options, layout, passed);
  for (const { node } of regions.flatMap((region) => region.results)) checkBinding(node, device);
  if (checked) formed.forEach(checkComputable);
  const memory = planMemory(steps, new Set(results(graph)), limit(device, 'maxBufferSize'));
  return { graph, formed, fusions, regions, steps, homes, memory, remarks };
}

/** Slices that no kernel could write where they lie: the whole value is made anew, by what `write_slice` stands for. */
function writtenWhole(regions: readonly Region[]): Set<Node> {
  const slices = ({ results: all, replaces }: Region) =>
    all.flatMap(({ node }) => (writesSlice(node) && !replaces.has(node) ? [node] : []));
  return new Set(regions.flatMap(slices));
}
