/** Composite ops become the ops they stand for, and so does a contraction other than a product that the device has no kernel for. */
import type { Graph, Node } from '../ir/index.ts';
import { isProduct } from '../ops/index.ts';
import { hasKernel } from '../plans/registry.ts';
import { expand } from '../rewrite/expand.ts';
import type { PlanningContext } from './graph-pass.ts';
import { crowds, storesScores } from './scores.ts';

export function expandForKernels(graph: Graph, { device, plan, remarks }: PlanningContext): Graph {
  const isCrowded = crowds(graph, device);
  const isSplit = (anchor: Node) =>
    storesScores(anchor, device) || isCrowded(anchor) || !hasKernel(anchor, { device, plan }, remarks);
  return expand(graph, (anchor) => !isProduct(anchor) && isSplit(anchor));
}
