/** What passes over graphs are. The graphs of a model are compiled together: most passes look at each by itself, some at all. */
import type { DeviceSpec } from '../device.ts';
import type { Graph, Remarks } from '../ir/index.ts';

/** What a pass knows besides the graph. */
export interface PassContext {
  readonly device: DeviceSpec;
  readonly remarks?: Remarks;
}

/** What a pass over all graphs of a model knows besides them. */
export interface ModelContext {
  readonly device: DeviceSpec;
  readonly remarksOn?: (graph: Graph) => Remarks;
}

/** How weights and what contractions read are stored. */
export type Precision = 'f32' | 'f16';

interface Named {
  readonly name: string;
  /** What it does, in a line. */
  readonly doc: string;
  /** The builds that it is for, where it is not for all. */
  readonly only?: Precision;
}

/** `Context`: what it asks for, more than others where plans decide what it does. */
export interface GraphPass<Context extends PassContext = PassContext> extends Named {
  run(graph: Graph, context: Context): Graph;
}

/** For what graphs decide together: where a parameter lies, what dtype it has. */
export interface ModelPass extends Named {
  readonly of: 'model';
  /**
   * Whether it only divides graphs into parts that run one after the other: they are still as the user wrote them. The last bears
   * the name of the whole.
   */
  readonly divides?: boolean;
  run(graphs: readonly Graph[], context: ModelContext): readonly Graph[];
}

export type Pass<Context extends PassContext = PassContext> = GraphPass<Context> | ModelPass;

export const isOfModel = <Context extends PassContext>(pass: Pass<Context>): pass is ModelPass => 'of' in pass;
