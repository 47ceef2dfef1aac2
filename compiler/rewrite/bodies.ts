/** Passes that derivatives come after go into the bodies of loops, too: what is differentiated is the recognised graph. */
import type { Graph } from '../ir/index.ts';
import { inBodies } from '../ops/index.ts';
import type { ModelContext } from './pass.ts';
import { recogniseAll } from './recognise.ts';

/** A pass over a graph as one over it and the bodies in it. */
export function withBodies(run: (graph: Graph) => Graph): (graph: Graph) => Graph {
  const deep = (graph: Graph): Graph => run(inBodies(graph, deep));
  return deep;
}

/** Rules in all graphs of a model and in the bodies in them. These have no parameters, whose places graphs would have to agree on. */
export function recogniseWithBodies(graphs: readonly Graph[], context: ModelContext): readonly Graph[] {
  const recognised = (body: Graph): Graph => recogniseAll([inBodies(body, recognised)], { device: context.device })[0];
  return recogniseAll(
    graphs.map((graph) => inBodies(graph, recognised)),
    context,
  );
}
