/**
 * The whole compiler on one screen: a traced entry goes through the graph passes in order, then regions, plans and
 * memory. Each pass takes a graph and gives a graph. `compile.ts` does so for all entries of a model, and emits them.
 */
import { resolveGradients } from './autodiff/resolve.ts';
import { attempt } from './emit/reproducer.ts';
import { nodesOf, Remarks, results, type Graph, type Node } from './ir/index.ts';
import { verify } from './ir/verify.ts';
import { isProduct, opTable } from './ops/index.ts';
import { assemble } from './rewrite/assemble.ts';
import { chunk } from './rewrite/chunk.ts';
import { cut } from './rewrite/cut.ts';
import { expand } from './rewrite/expand.ts';
import { packs, type Apart } from './rewrite/packs.ts';
import { lowerPrecision } from './rewrite/precision.ts';
import { joinProducts, recognise } from './rewrite/recognise.ts';
import { canonicalise, simplify } from './rewrite/simplify.ts';
import { split } from './rewrite/split.ts';
import { tables } from './rewrite/tables.ts';
import { tile } from './rewrite/tile.ts';
import { snapshot } from './rewrite/snapshot.ts';
import { fitMemory, macsOfAll } from './recompute/fit.ts';
import type { Bundles } from './fusion/bundles.ts';
import { checkBinding, checkMemory } from './memory/check.ts';
import { formKernels } from './memory/form-kernels.ts';
import { bytesOfAll, leafBytes } from './memory/leaves.ts';
import { planMemory, type MemoryPlan } from './memory/plan.ts';
import { choosePlan, hasKernel, type Plan } from './plans/registry.ts';
import { packScalars } from './fusion/scalars.ts';
import { normsInPieces } from './fusion/pieces.ts';
import { checkComputable } from './fusion/computable.ts';
import type { Fusion } from './fusion/group.ts';
import type { FusionPass } from './fusion/passes.ts';
import type { Region } from './fusion/regions.ts';
import { limit, type DeviceSpec } from './device.ts';
import { crowds, storesScores } from './fusion/scores.ts';
import { isStored } from './fusion/storage.ts';

export interface Pass {
  readonly name: string;
  readonly doc: string;
  run(graph: Graph, device: DeviceSpec, remarks?: Remarks, apart?: Apart): Graph;
}

const pass = (name: string, doc: string, run: Pass['run']): Pass => ({ name, doc, run });

export const pipeline: readonly Pass[] = [
  pass('simplify', 'canonical form: views merge, identities vanish, constants fold', simplify),
  pass('recognise', 'rules: online attention, merged linears', recognise),
  pass('gradients', 'derivatives that entries ask for', resolveGradients),
  pass('assemble', 'sums of padded pieces that fill a value become the pieces side by side', assemble),
  pass('cut', 'gradients of what was merged are computed one by one', cut),
  pass('expand', 'composite ops (linear, layer_norm, softmax) become the ops they stand for', (graph, device) => {
    const isCrowded = crowds(graph, device);
    const isSplit = (anchor: Node) => storesScores(anchor, device) || isCrowded(anchor) || !hasKernel(anchor, device);
    return expand(graph, (anchor) => !isProduct(anchor) && isSplit(anchor));
  }),
  pass('canonical', 'canonical form of what the expansion left', canonicalise),
  pass('tile', 'values that no binding can hold are computed and read in parts', tile),
  pass('join-products', 'rules: sums of products are one product', joinProducts),
  pass('pieces', 'statistics between products: one gives them in pieces, the other adds these up', normsInPieces),
  pass('split', 'long reductions to few values run in two stages', split),
  pass('chunk', 'values read piece by piece are laid out piece by piece', chunk),
  pass('settle', 'canonical form of the pieces', canonicalise),
  pass('tables', 'what depends on nothing and takes work is computed now', tables),
  pass('scalars', 'numbers that many kernels read lie side by side in one buffer', packScalars),
  pass('packs', 'joins of parameters that cannot be laid out at load are computed', packs),
  pass('snapshot', 'outputs that show state before its update get a copy', snapshot),
];

/** Parameters to store as f16, by name. */
export type Halves = ReadonlySet<string>;

/** The pass that builds for f16 have besides; without `halves`, all that only contractions of the graph read become f16. */
export const lowering = (halves?: Halves): Pass =>
  pass('lower-precision', 'contractions multiply f16 and add up in f32', (graph) => lowerPrecision(graph, halves));

/** How weights and what contractions read are stored. */
export type Precision = 'f32' | 'f16';

/** The passes of a build for f16: contractions are lowered once the derivatives are there, and views of them seen as views. */
export function halfPasses(passes: readonly Pass[] = pipeline, halves?: Halves): readonly Pass[] {
  const at = passes.findLastIndex(({ name }) => ['gradients', 'assemble', 'cut'].includes(name)) + 1;
  return [...passes.slice(0, at), lowering(halves), ...passes.slice(at)];
}

/** An entry ready for emission. */
export interface Scheduled {
  readonly graph: Graph;
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
  /** Instead of `pipeline`: a part of it, or passes of one's own. */
  readonly passes?: readonly Pass[];
  /** Instead of `fusionPasses` (fusion/passes.ts): what may share a kernel. */
  readonly fusion?: readonly FusionPass[];
  /** Instead of what the families choose (plans/registry.ts), where it gives one. A plan that is none for its region is refused. */
  readonly plan?: (region: Region, device: DeviceSpec) => Plan | undefined;
  /** Joins of parameters that other entries of the model rule out. */
  readonly apart?: Apart;
  /** State that lies side by side in all entries of the model. */
  readonly bundles?: Bundles;
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

export function runPasses(graph: Graph, options: CompileOptions, remarks?: Remarks): Graph {
  const { device, passes = pipeline, verify: checked, apart, onPass } = options;
  onPass?.('trace', graph);
  return passes.reduce((current, { name, run }) => {
    const next = attempt({ pass: name, device, verify: checked, graphs: [current] }, () => {
      const made = run(current, device, remarks, apart);
      return checked ? verify(made, opTable) : made;
    });
    onPass?.(name, next);
    return next;
  }, graph);
}

export function schedule(traced: Graph, options: CompileOptions): Scheduled {
  const { device, memory } = options;
  const remarks = new Remarks();
  const graph = runPasses(traced, options, remarks);
  return attempt({ emit: 'memory', device, memory, graphs: [graph] }, () => planKernels(graph, options, remarks));
}

/** What is one kernel, by which algorithm, and where its result lies. */
function planKernels(graph: Graph, options: CompileOptions, passed: Remarks): Scheduled {
  const { device, memory, onPass, onFusion } = options;
  const budget = memory === undefined ? Infinity : memory - bytesOfAll(leafBytes(graph));
  const { first, best } = fitMemory(graph, (candidate) => placeKernels(candidate, options, passed), budget);
  if (memory !== undefined) onPass?.(RECOMPUTE.name, best.graph);
  best.fusions.forEach((fusion, name) => onFusion?.(name, fusion));
  checkMemory(best.memory, best.steps, device);
  const planOf = (region: Region) => choosePlan(region, device, best.remarks, options.plan?.(region, device));
  const regions = best.regions.map((region) => ({ region, plan: planOf(region) }));
  const recomputedMacs = macsOfAll(best.formed) - macsOfAll(first.formed);
  return { ...best, regions, recomputedMacs };
}

/** What `onPass` calls the choice of what to compute twice. */
export const RECOMPUTE = { name: 'recompute', doc: 'what the memory cannot hold is computed again where it is read' };

/** A graph's kernels in order, and where values lie. */
function placeKernels(graph: Graph, options: CompileOptions, passed: Remarks) {
  const { device, verify: checked, fusion: passes, bundles } = options;
  if (checked) verify(graph, opTable);
  const remarks = new Remarks(passed.list);
  for (const node of nodesOf(graph)) if (isStored(node)) checkBinding(node, device);
  const { formed, fusions, regions, steps, homes } = formKernels(
    graph,
    { device, bundles, passes, verify: checked },
    remarks,
  );
  for (const { node } of regions.flatMap((region) => region.results)) checkBinding(node, device);
  if (checked) formed.forEach(checkComputable);
  const memory = planMemory(steps, new Set(results(graph)), limit(device, 'maxBufferSize'));
  return { graph, formed, fusions, regions, steps, homes, memory, remarks };
}
