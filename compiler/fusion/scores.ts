/**
 * Attention on software devices by way of its scores in memory, as products and a softmax. Where the scores fit the caches that is about
 * as fast as one kernel (lavapipe-512, ms of processor time: 5.1 against 5.8 for 6 heads of 64 and 256 tokens, 5.7 against 4.0 for 128
 * of 32 and 49). A derivative computes its scores in each of its walks: it is better as products (24 to 33 GFLOP/s against 12, of a
 * second of processor time) wherever that takes no more memory than its rows do anyway. Where scores are many, they are never stored on
 * any device.
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
