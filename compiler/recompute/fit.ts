/**
 * Recompute: a graph whose activations would take more than they may gets values that are computed twice instead of kept.
 * Round by round the moment of most memory is relieved; each round decides on the plan of the one before, so what is said of
 * memory is what the plan says and not an estimate.
 */
import type { Graph } from '../ir/index.ts';
import type { MemoryPlan } from '../memory/plan.ts';
import type { Region } from '../fusion/regions.ts';
import { computeAgain } from './again.ts';
import { chooseSegments } from './choose.ts';
import { macsOf, timelineOf } from './timeline.ts';

/** What is decided for a graph: its kernels in order, and where values lie. */
export interface Planned {
  readonly graph: Graph;
  /** In order. */
  readonly formed: readonly Region[];
  readonly memory: MemoryPlan;
}

const MAX_ROUNDS = 16;
/** Rounds without a better plan after which there is none: another moment may have to be relieved first. */
const PATIENCE = 4;

/** The plan that the graph has as it is, and the first one found within `budget` bytes of activations or the smallest. */
export function fitMemory<P extends Planned>(
  graph: Graph,
  plan: (graph: Graph) => P,
  budget: number,
): { readonly first: P; readonly best: P } {
  const first = plan(graph);
  let [current, best] = [first, first];
  for (let round = 0, since = 0; best.memory.peakBytes > budget && round < MAX_ROUNDS && since < PATIENCE; round++) {
    const timeline = timelineOf(current.graph, current.formed, current.memory);
    const segments = chooseSegments(timeline, current.memory.peakBytes - budget);
    if (!segments.length) break;
    current = plan(computeAgain(current.graph, timeline, segments));
    since = current.memory.peakBytes < best.memory.peakBytes ? 0 : since + 1;
    if (!since) best = current;
  }
  return { first, best };
}

/** Multiply-accumulates of all kernels. */
export const macsOfAll = (regions: readonly Region[]): number =>
  regions.reduce((sum, region) => sum + macsOf(region), 0);
