/**
 * Fusion on one screen: which values share a kernel. Each pass takes the groups of a graph and gives others (group.ts); `ditc opt
 * --passes` runs them by name, and `--print-ir=NAME` shows what one leaves.
 */
import type { Graph } from '../ir/index.ts';
import { FusionContext, type FusionFacts } from './context.ts';
import type { Fusion } from './group.ts';
import { eliminateConcats } from './passes/eliminate-concats.ts';
import { freeEarly } from './passes/free-early.ts';
import { fuseConsumers } from './passes/fuse-consumers.ts';
import { fuseEpilogues } from './passes/fuse-epilogues.ts';
import { fuseRowStatistics } from './passes/fuse-row-statistics.ts';
import { fuseRowSums } from './passes/fuse-row-sums.ts';
import { fuseScores } from './passes/fuse-scores.ts';
import { fuseSiblings } from './passes/fuse-siblings.ts';
import { materialize } from './passes/materialize.ts';
import { order } from './passes/order.ts';
import { partialStatistics } from './passes/partial-statistics.ts';
import { planContractions } from './passes/plan-contractions.ts';
import { planOthers } from './passes/plan-others.ts';
import { prune } from './passes/prune.ts';
import { seed } from './passes/seed.ts';
import { shareRows } from './passes/share-rows.ts';
import { sinkCasts } from './passes/sink-casts.ts';
import { verifyFusion } from './verify.ts';

export interface FusionPass {
  readonly name: string;
  readonly doc: string;
  /** What it is a pass of: those of graphs (pipeline.ts) come before all of these. */
  readonly of: 'fusion';
  run(fusion: Fusion, context: FusionContext): Fusion;
}

const pass = (name: string, doc: string, run: FusionPass['run']): FusionPass => ({ name, doc, of: 'fusion', run });

export const fusionPasses: readonly FusionPass[] = [
  pass('seed', 'every contraction and every reduction of rows starts a kernel', seed),
  pass(
    'fuse-epilogues',
    'what follows it element by element is how it stores: bias, gelu, gate · x + residual',
    fuseEpilogues,
  ),
  pass('sink-casts', 'what is only cast to f32 at last is stored as f16', sinkCasts),
  pass('plan-contractions', 'contractions get their plans: tiles decide what pays beside them', planContractions),
  pass('fuse-row-statistics', 'products compute the norm of their own rows', fuseRowStatistics),
  pass(
    'partial-statistics',
    'products sum up pieces of what they store, or totals of what others did',
    partialStatistics,
  ),
  pass('eliminate-concats', 'parts are written side by side, and the concatenation takes no kernel', eliminateConcats),
  pass(
    'materialize',
    'what is read often, or costs much, is stored; the rest is computed where it is read',
    materialize,
  ),
  pass('fuse-consumers', 'what reads a result where it is made is computed and written beside it', fuseConsumers),
  pass('fuse-scores', 'contractions over the same scores of an attention are one kernel', fuseScores),
  pass('fuse-row-sums', 'sums of a product’s left operand are added up beside the product', fuseRowSums),
  pass('fuse-siblings', 'kernels that walk over the same values are one', fuseSiblings),
  pass('share-rows', 'products compute the norm of their own rows, and write it for others', shareRows),
  pass('prune', 'what nobody reads is not written', prune),
  pass('order', 'kernels in the order of the program, readers after writers', order),
  pass('free-early', 'what makes memory free runs as soon as it can', freeEarly),
  pass('plan-others', 'rows and maps get their plans', planOthers),
];

/** A list without some of its passes. */
export const without = (...names: readonly string[]): readonly FusionPass[] =>
  fusionPasses.filter(({ name }) => !names.includes(name));

export interface FusionOptions extends FusionFacts {
  readonly passes?: readonly FusionPass[];
  /** Verify the groups after every pass. */
  readonly verify?: boolean;
  /** Called with what each pass leaves. */
  readonly onPass?: (name: string, fusion: Fusion) => void;
}

/** Before the first pass: no group, and nothing stored. */
export const unfused = (graph: Graph): Fusion => ({ graph, groups: [], stored: new Set(), concats: new Map() });

export function runFusion(fusion: Fusion, options: FusionOptions): Fusion {
  const { passes = fusionPasses, verify, onPass } = options;
  const context = new FusionContext(fusion.graph, options);
  return passes.reduce((current, { name, run }) => {
    const next = run(current, context);
    if (verify) verifyFusion(next, context, current);
    onPass?.(name, next);
    return next;
  }, fusion);
}
