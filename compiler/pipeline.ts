/**
 * The whole compiler on one screen: the graphs of a model go through these passes in order (run-passes.ts), then each gets its kernels
 * and their memory (plan-kernels.ts; fusion/passes.ts lists how kernels are formed). `compile.ts` does so for all entries of a model, and
 * emits them.
 */
import { resolveGradients } from './autodiff/resolve.ts';
import { attempt } from './emit/reproducer.ts';
import { branches } from './fusion/branches.ts';
import { bundlesOf } from './fusion/bundles.ts';
import { channelsLast } from './fusion/channels-last.ts';
import { expandForKernels } from './fusion/expand.ts';
import { headsInProducts } from './fusion/heads.ts';
import { nest } from './fusion/nest.ts';
import { normsInPieces } from './fusion/pieces.ts';
import { packScalars } from './fusion/scalars.ts';
import { splitDepth } from './fusion/split-depth.ts';
import { Remarks, type Graph } from './ir/index.ts';
import { bytesBeside, leafBytes } from './memory/leaves.ts';
import type { CompileOptions, Pass } from './options.ts';
import { planKernels, type Layout, type Scheduled } from './plan-kernels.ts';
import { assemble } from './rewrite/assemble.ts';
import { recogniseWithBodies, withBodies } from './rewrite/bodies.ts';
import { chunk } from './rewrite/chunk.ts';
import { cut } from './rewrite/cut.ts';
import { deepen } from './rewrite/deepen.ts';
import { divideAll } from './rewrite/divide.ts';
import { hoistAll } from './rewrite/hoist.ts';
import { joinedRows } from './rewrite/joined-rows.ts';
import { packs } from './rewrite/lay-out-packs.ts';
import { packedIn } from './rewrite/packs.ts';
import type { GraphPass, ModelPass, Precision } from './rewrite/pass.ts';
import { lowerAll } from './rewrite/precision.ts';
import { joinLinears, joinProducts } from './rewrite/recognise.ts';
import { rowViews } from './rewrite/row-views.ts';
import { sharedWeights } from './rewrite/shared-weights.ts';
import { canonicalise, simplify } from './rewrite/simplify.ts';
import { snapshot } from './rewrite/snapshot.ts';
import { split } from './rewrite/split.ts';
import { tables } from './rewrite/tables.ts';
import { tile } from './rewrite/tile.ts';
import { sendThrough, type Passed, type RemarksOn } from './run-passes.ts';
import type { PlanningContext } from './fusion/graph-pass.ts';

export type { CompileOptions, Pass, Precision, Scheduled };

const pass = (name: string, doc: string, run: GraphPass<PlanningContext>['run']): Pass => ({ name, doc, run });
const together = (name: string, doc: string, run: ModelPass['run'], more?: Partial<ModelPass>): Pass => {
  return { name, doc, of: 'model', run, ...more };
};

/** Only divides graphs: they are still as the user wrote them. */
const DIVIDES = { divides: true };

export const pipeline: readonly Pass[] = [
  // As the user wrote it: what runs by itself becomes a part of its own, rules find what was meant, derivatives follow.
  together('hoist', 'what a loop does not change is computed before it, in an entry of its own', hoistAll, DIVIDES),
  pass('simplify', 'canonical form: views merge, identities vanish, constants fold', withBodies(simplify)),
  together('recognise', 'rules: online attention, merged linears', recogniseWithBodies),
  pass('gradients', 'derivatives that entries ask for', resolveGradients),
  together(
    'divide',
    'loops’ bodies, and what comes before loops, become parts that run by themselves',
    divideAll,
    DIVIDES,
  ),

  // Algebra: the same values by fewer and larger products.
  pass('assemble', 'sums of padded pieces that fill a value become the pieces side by side', assemble),
  pass('cut', 'gradients of what was merged are computed one by one', cut),
  pass('join-linears', 'rules: sums of linears are one linear', joinLinears),
  pass('shared-weights', 'products of parts of a value by one matrix are one product of the value', sharedWeights),
  pass('deepen', 'sums over the batch of a product are one product of more depth', deepen),
  pass('row-views', 'views that move whole rows go before the norm of these rows', rowViews),
  together('lower-precision', 'contractions multiply f16 and add up in f32', lowerAll, { only: 'f16' }),

  // Towards kernels: plans of contractions on this device decide what is computed in parts, and what is done where a product stores.
  pass('expand', 'composite ops (linear, layer_norm, softmax) become the ops they stand for', expandForKernels),
  pass('canonical', 'canonical form of what the expansion left', canonicalise),
  pass('channels-last', 'what matrix units take windows of lies in memory channels side by side', channelsLast),
  pass('tile', 'values that no binding can hold are computed and read in parts', tile),
  pass('join-products', 'rules: sums of products are one product', joinProducts),
  pass('pieces', 'statistics between products: one gives them in pieces, the other adds these up', normsInPieces),
  pass('split', 'long reductions to few values run in two stages', split),
  pass('split-depth', 'GPUs compute products of few elements in parts of their depth', splitDepth),
  pass('branches', 'what pieces of a product go through is done where the product stores them', branches),
  pass('heads', 'norms of heads of a product are computed where the product stores them', headsInProducts),
  pass('joined-rows', 'other rows that are normalised alike and then joined are joined before', joinedRows),

  // How values lie in memory.
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

/** Graphs after the passes, each with what it was before those that rewrite it. */
export const runPasses = (
  graphs: readonly Graph[],
  options: CompileOptions,
  remarksOn?: RemarksOn,
): readonly Passed[] => sendThrough(options.passes ?? passesFor(), graphs, options, remarksOn);

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
    packed: packedIn(
      passed.map(({ graph }) => graph),
      device,
    ),
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
