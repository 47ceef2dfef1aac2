/**
 * Small attentions on software devices are better as products: a subgroup that walks over few keys spends its time on shuffles
 * and exponentials there (lavapipe, 49 tokens, heads of 32: 0.28 GFLOP/s forward and 0.25 backward as one kernel each, as
 * products 1 to 3.5, and softmax beside). A derivative computes its scores in each of its walks, rows of them that no two lanes
 * share (256 tokens, heads of 64: 3.2 GFLOP/s as one kernel, as products 24 to 33): it is better as products wherever that takes
 * no more memory than it has anyway. Where scores are many, they are never stored on any device.
 */
import { nodesOf, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { contractionOf, gradientOperands, isAttentionDerivative } from '../ops/index.ts';
import { limit, prefersSubgroupProducts, type DeviceSpec } from '../device.ts';
import { isStored } from './storage.ts';

/**
 * Scores that are stored, of what the first axis counts (the examples of a batch: how one is computed must not depend on the
 * others): bytes of f32. A quarter of the caches, or this where the device does not say how much they hold.
 */
const CACHED = 2 ** 20;

/** Whether an attention, or a derivative of one, is computed by way of its scores in memory. */
export function storesScores(anchor: Node, device: DeviceSpec): boolean {
  const [q, k] = anchor.inputs;
  if (!prefersSubgroupProducts(device) || !contractionOf(anchor.op).startsWith('attention')) return false;
  const { shape } = q.type;
  const [keys] = k.type.shape.slice(-2);
  const most = device.cacheBytes === undefined ? CACHED : device.cacheBytes / 4;
  const queries = sizeOf(shape.slice(shape.length > 2 ? 1 : 0, -1));
  if (4 * queries * keys <= most) return true;
  return most > 0 && isAttentionDerivative(anchor) && keys <= widths(anchor.inputs);
}

/** Numbers of a query, a key and a value, of dy and of the result: as many as a row of scores may have, for those to be no more than these. */
function widths(inputs: readonly Node[]): number {
  const { own, dy, out } = gradientOperands(inputs);
  return [...own.slice(0, 3), dy, out].reduce((sum, { type }) => sum + type.shape.at(-1)!, 0);
}

/** Whether contractions of a graph read more values than a kernel of the device binds beside the result, whatever is stored. */
export function crowds(graph: Graph, device: DeviceSpec): (contraction: Node) => boolean {
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const loaded = new Set<Node>();
  for (const node of nodesOf(graph)) if (isStored(node) || node.inputs.some((x) => loaded.has(x))) loaded.add(node);
  return ({ inputs }) => new Set(inputs.filter((x) => loaded.has(x))).size > most;
}
