/** What fusion passes know besides the fusion: the device, what was found out before, and the flow of the graph's values. */
import { nodesOf, results, usersOf, type Graph, type Node, type Remarks } from '../ir/index.ts';
import { limit, type DeviceSpec } from '../device.ts';
import type { Planner } from '../plans/registry.ts';
import { NO_BUNDLES, type Bundles } from './bundles.ts';
import { postDominators } from './dominance.ts';
import { isStored } from './storage.ts';

export interface FusionFacts extends Planner {
  readonly bundles?: Bundles;
  /** State whose new values no kernel can write over the old ones (memory/reuse.ts). */
  readonly noAlias?: ReadonlySet<Node>;
  /** Values that are stored so that kernels bind fewer (bindings.ts). */
  readonly cuts?: ReadonlySet<Node>;
  readonly remarks?: Remarks;
}

export class FusionContext {
  readonly device: DeviceSpec;
  readonly plan: Planner['plan'];
  readonly bundles: Bundles;
  readonly noAlias: ReadonlySet<Node>;
  readonly cuts: ReadonlySet<Node>;
  readonly remarks?: Remarks;
  /** Values of the graph in topological order, and who reads each. */
  readonly nodes: readonly Node[];
  readonly users: Map<Node, Node[]>;
  /** Outputs and updates of the graph that have to be computed. */
  readonly given: ReadonlySet<Node>;
  /** Those, and the cuts: no group computes beyond them. */
  readonly returned: ReadonlySet<Node>;
  /** Buffers that a kernel may read. */
  readonly maxReads: number;
  /** Bytes that a binding holds. */
  readonly maxBytes: number;

  constructor(
    graph: Graph,
    { device, plan, bundles = NO_BUNDLES, noAlias = new Set(), cuts = new Set(), remarks }: FusionFacts,
  ) {
    this.device = device;
    this.plan = plan;
    this.bundles = bundles;
    this.noAlias = noAlias;
    this.cuts = cuts;
    this.remarks = remarks;
    this.nodes = nodesOf(graph);
    this.users = usersOf(this.nodes);
    this.given = new Set(results(graph).filter((node) => !isStored(node)));
    this.returned = new Set([...this.given, ...cuts]);
    this.maxReads = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
    this.maxBytes = limit(device, 'maxStorageBufferBindingSize');
  }

  /** The first value through which every use of a value passes. */
  postDominators(): Map<Node, Node> {
    return postDominators(this.nodes, this.returned);
  }
}
