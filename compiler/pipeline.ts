/**
 * The whole compiler on one screen: a traced entry goes through the graph passes in order, then regions, plans and
 * memory. Each pass takes a graph and gives a graph. `compile.ts` does so for all entries of a model, and emits them.
 */
import { resolveGradients } from './autodiff/resolve.ts';
import { attempt } from './emit/reproducer.ts';
import { nodesOf, Remarks, results, type Graph, type Node } from './ir/index.ts';
import { verify } from './ir/verify.ts';
import { isProduct, opTable, writesSlice } from './ops/index.ts';
import { assemble } from './rewrite/assemble.ts';
import { chunk } from './rewrite/chunk.ts';
import { cut } from './rewrite/cut.ts';
import { deepen } from './rewrite/deepen.ts';
import { divideAll } from './rewrite/divide.ts';
import { expand, expandAll } from './rewrite/expand.ts';
import { joinedRows } from './rewrite/joined-rows.ts';
import { hoistAll } from './rewrite/hoist.ts';
import { packs } from './rewrite/lay-out-packs.ts';
import { packedIn, type Packed } from './rewrite/packs.ts';
import {
  isOfModel,
  type GraphPass,
  type ModelContext,
  type ModelPass,
  type Pass as PassFor,
  type Precision,
} from './rewrite/pass.ts';
import { lowerAll } from './rewrite/precision.ts';
import { recogniseWithBodies, withBodies } from './rewrite/bodies.ts';
import { joinLinears, joinProducts } from './rewrite/recognise.ts';
import { rowViews } from './rewrite/row-views.ts';
import { sharedWeights } from './rewrite/shared-weights.ts';
import { canonicalise, simplify } from './rewrite/simplify.ts';
import { split } from './rewrite/split.ts';
import { tables } from './rewrite/tables.ts';
import { tile } from './rewrite/tile.ts';
import { snapshot } from './rewrite/snapshot.ts';
import { fitMemory, macsOfAll } from './recompute/fit.ts';
import { bundlesOf, type Bundles } from './fusion/bundles.ts';
import { checkBinding, checkMemory } from './memory/check.ts';
import { formKernels } from './memory/form-kernels.ts';
import { bytesBeside, bytesOfAll, leafBytes } from './memory/leaves.ts';
import { planMemory, type MemoryPlan } from './memory/plan.ts';
import { isRejected } from './plans/family.ts';
import { choosePlan, hasKernel, planFor, type Plan, type Planner } from './plans/registry.ts';
import { branches } from './fusion/branches.ts';
import { channelsLast } from './fusion/channels-last.ts';
import type { PlanningContext } from './fusion/graph-pass.ts';
import { headsInProducts } from './fusion/heads.ts';
import { nest } from './fusion/nest.ts';
import { packScalars } from './fusion/scalars.ts';
import { normsInPieces } from './fusion/pieces.ts';
import { splitDepth } from './fusion/split-depth.ts';
import { checkComputable } from './fusion/computable.ts';
import type { Fusion } from './fusion/group.ts';
import type { FusionPass } from './fusion/passes.ts';
import type { Region } from './fusion/regions.ts';
import { limit, type DeviceSpec } from './device.ts';
import { crowds, storesScores } from './fusion/scores.ts';
import { isStored } from './fusion/storage.ts';

export type { Precision };
export type Pass = PassFor<PlanningContext>;

const pass = (name: string, doc: string, run: GraphPass<PlanningContext>['run']): Pass => ({ name, doc, run });
const together = (name: string, doc: string, run: ModelPass['run'], more?: Partial<ModelPass>): Pass => {
  return { name, doc, of: 'model', run, ...more };
};

export const pipeline: readonly Pass[] = [
  together('hoist', 'what a loop does not change is computed before it, in an entry of its own', hoistAll, {
    divides: true,
  }),
  pass('simplify', 'canonical form: views merge, identities vanish, constants fold', withBodies(simplify)),
  together('recognise', 'rules: online attention, merged linears', recogniseWithBodies),
  pass('gradients', 'derivatives that entries ask for', resolveGradients),
  together(
    'divide',
    'the bodies of loops, and what comes before them, become parts that run by themselves',
    divideAll,
    {
      divides: true,
    },
  ),
  pass('assemble', 'sums of padded pieces that fill a value become the pieces side by side', assemble),
  pass('cut', 'gradients of what was merged are computed one by one', cut),
  pass('join-linears', 'rules: sums of linears are one linear', joinLinears),
  pass('shared-weights', 'products of parts of a value by one matrix are one product of the value', sharedWeights),
  pass('deepen', 'sums over the batch of a product are one product of more depth', deepen),
  pass('joined-rows', 'rows that are normalised alike and then joined are joined before', joinedRows),
  pass('row-views', 'views that move whole rows go before the norm of these rows', rowViews),
  together('lower-precision', 'contractions multiply f16 and add up in f32', lowerAll, { only: 'f16' }),
  pass(
    'expand',
    'composite ops (linear, layer_norm, softmax) become the ops they stand for',
    (graph, { device, plan, remarks }) => {
      const isCrowded = crowds(graph, device);
      const isSplit = (anchor: Node) =>
        storesScores(anchor, device) || isCrowded(anchor) || !hasKernel(anchor, { device, plan }, remarks);
      return expand(graph, (anchor) => !isProduct(anchor) && isSplit(anchor));
    },
  ),
  pass('canonical', 'canonical form of what the expansion left', canonicalise),
  pass(
    'channels-last',
    'what matrix units take windows of lies in memory with its channels side by side',
    channelsLast,
  ),
  pass('tile', 'values that no binding can hold are computed and read in parts', tile),
  pass('join-products', 'rules: sums of products are one product', joinProducts),
  pass('pieces', 'statistics between products: one gives them in pieces, the other adds these up', normsInPieces),
  pass('split', 'long reductions to few values run in two stages', split),
  pass('split-depth', 'GPUs compute products of few elements in parts of their depth', splitDepth),
  pass('branches', 'what pieces of a product go through is done where the product stores them', branches),
  pass(
    'heads',
    'norms of pieces of a product, head by head, are computed where the product stores them',
    headsInProducts,
  ),
  pass('chunk', 'values read piece by piece are laid out piece by piece', chunk),
  pass('settle', 'canonical form of the pieces', canonicalise),
  pass('tables', 'what depends on nothing and takes work is computed now', tables),
  pass('scalars', 'numbers that many kernels read lie side by side in one buffer', packScalars),
  together('packs', 'joins of parameters that cannot be laid out at load are computed', packs),
  pass('nest', 'of more values than a kernel binds, runs are joined before all are', nest),
  pass('snapshot', 'outputs that show state before its update get a copy', snapshot),
];

/** The passes of a build of that precision: those of a list that are not for others. */
export const passesFor = (precision: Precision = 'f32', passes = pipeline): readonly Pass[] =>
  passes.filter(({ only = precision }) => only === precision);

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

export interface CompileOptions {
  readonly device: DeviceSpec;
  /** Instead of those of the pipeline for f32: some of them, or passes of one's own. */
  readonly passes?: readonly Pass[];
  /** Instead of `fusionPasses` (fusion/passes.ts): what may share a kernel. */
  readonly fusion?: readonly FusionPass[];
  /**
   * Instead of what the families choose (plans/registry.ts), where it gives one. Fusion asks for groups as it goes, of which more is decided
   * later, and at last each region is asked for; a plan that is none for its region is refused.
   */
  readonly plan?: Planner['plan'];
  /**
   * Bytes that weights, state, inputs, constants and activations may take together. Values are computed again instead of kept
   * until they do; when they cannot, the plan that takes least is made, and the caller sees what it takes.
   */
  readonly memory?: number;
  /** Verify the graph after every pass. */
  readonly verify?: boolean;
  /** Called with the graph before the first pass (`trace`), after each, and with `memory` after `recompute`. */
  readonly onPass?: (name: string, graph: Graph) => void;
  /** Called with what each pass of fusion left, of the kernels that were decided on. */
  readonly onFusion?: (name: string, fusion: Fusion) => void;
}

/** A graph after passes, and what it was before those that rewrite it. */
interface Passed {
  readonly graph: Graph;
  readonly traced: Graph;
}

/** Sends the graphs of a model through the passes, each pass through all of them before the next. */
export function runPasses(graphs: readonly Graph[], options: CompileOptions, remarksOn?: Notes): readonly Passed[] {
  const { passes = passesFor(), onPass } = options;
  graphs.forEach((graph) => onPass?.('trace', graph));
  const traced = graphs.map((graph): Passed => ({ graph, traced: graph }));
  return passes.reduce<readonly Passed[]>((before, step) => {
    const after = isOfModel(step)
      ? runOnAll(step, before, options, remarksOn)
      : runOnEach(step, before, options, remarksOn);
    after.forEach(({ graph }) => onPass?.(step.name, graph));
    return after;
  }, traced);
}

type Notes = ModelContext['remarksOn'];

function runOnEach(
  { name, run }: GraphPass<PlanningContext>,
  passed: readonly Passed[],
  options: CompileOptions,
  remarksOn?: Notes,
) {
  const { device, plan, verify: checked } = options;
  return passed.map(({ graph, traced }): Passed => {
    const made = attempt({ pass: name, device, verify: checked, graphs: [graph] }, () =>
      verified([run(graph, { device, plan, remarks: remarksOn?.(graph) })], options),
    );
    return { graph: made[0], traced };
  });
}

function runOnAll(
  { name, run, divides }: ModelPass,
  passed: readonly Passed[],
  options: CompileOptions,
  remarksOn?: Notes,
) {
  const { device, verify: checked } = options;
  const graphs = passed.map(({ graph }) => graph);
  const made = attempt({ pass: name, device, verify: checked, graphs }, () =>
    verified(run(graphs, { device, remarksOn }), options),
  );
  const before = new Map(passed.map(({ graph, traced }) => [graph.name, traced]));
  return made.map((graph): Passed => ({
    graph,
    traced: divides && !graphs.includes(graph) ? graph : before.get(graph.name)!,
  }));
}

const verified = (graphs: readonly Graph[], { verify: checked }: CompileOptions): readonly Graph[] =>
  checked ? graphs.map((graph) => verify(graph, opTable)) : graphs;

/** What lies side by side in all graphs of a model: states, and parameters. */
interface Layout {
  readonly bundles: Bundles;
  readonly packed: Packed;
}

/** All graphs of a model, and the parts that passes divided them into, each part before what reads it. */
export function scheduleAll(graphs: readonly Graph[], options: CompileOptions): Scheduled[] {
  const { device, memory } = options;
  const known = new Map<string, Remarks>();
  const remarksOn = ({ name }: Graph) => {
    const remarks = known.get(name) ?? new Remarks();
    known.set(name, remarks);
    return remarks;
  };
  const passed = runPasses(graphs, options, remarksOn);
  const layout: Layout = {
    bundles: bundlesOf(graphs, device),
    packed: packedIn(passed.map(({ graph }) => graph)),
  };
  const leaves = passed.map(({ graph }) => leafBytes(graph));
  return passed.map(({ graph, traced }, i) => {
    const own = memory && memory - bytesBeside(leaves[i], leaves);
    return attempt({ emit: 'memory', device, memory: own, graphs: [graph] }, () => {
      return { ...planKernels(graph, { ...options, memory: own }, layout, remarksOn(graph)), traced };
    });
  });
}

/** A graph by itself, or the last of the parts that passes divide it into. */
export const schedule = (graph: Graph, options: CompileOptions): Scheduled => scheduleAll([graph], options).at(-1)!;

/** What is one kernel, by which algorithm, and where its result lies. */
function planKernels(
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

/** What `onPass` calls the choice of what to compute twice. */
export const RECOMPUTE = { name: 'recompute', doc: 'what the memory cannot hold is computed again where it is read' };

/** A graph's kernels in order, and where values lie. */
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
  const whole = new Set(regions.flatMap(({ results: all, replaces }) => all.map(({ node }) => node).filter((node) => writesSlice(node) && !replaces.has(node)))); // prettier-ignore
  if (whole.size) return placeKernels(expandAll(graph, whole), options, layout, passed);
  for (const { node } of regions.flatMap((region) => region.results)) checkBinding(node, device);
  if (checked) formed.forEach(checkComputable);
  const memory = planMemory(steps, new Set(results(graph)), limit(device, 'maxBufferSize'));
  return { graph, formed, fusions, regions, steps, homes, memory, remarks };
}
