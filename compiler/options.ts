/** How to compile. */
import type { Graph } from './ir/index.ts';
import type { DeviceSpec } from './device.ts';
import type { Fusion } from './fusion/group.ts';
import type { PlanningContext } from './fusion/graph-pass.ts';
import type { FusionPass } from './fusion/passes.ts';
import type { Planner } from './plans/registry.ts';
import type { Pass as PassFor } from './rewrite/pass.ts';

/** A pass over graphs, which may ask for plans. */
export type Pass = PassFor<PlanningContext>;

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
