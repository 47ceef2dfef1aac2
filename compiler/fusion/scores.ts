/**
 * Small attentions on software devices are better as products: a subgroup that walks over few keys spends its time on shuffles
 * and exponentials there (lavapipe, 49 tokens, heads of 32: 0.28 GFLOP/s forward and 0.25 backward as one kernel each, as
 * products 1 to 3.5, and softmax beside). Where scores are many, they are never stored on any device.
 */
import { nodesOf, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { contractionOf } from '../ops/index.ts';
import { limit, prefersSubgroupProducts, type DeviceSpec } from '../device.ts';
import { isStored } from './storage.ts';

/**
 * Scores that are stored, of what the first axis counts (the examples of a batch: how one is computed must not depend on the
 * others): bytes of f32. A quarter of the caches, or this where the device does not say how much they hold.
 */
const CACHED = 2 ** 20;

/** Whether an attention, or a derivative of one, is computed by way of its scores in memory. */
export function storesScores({ op, inputs: [q, k] }: Node, device: DeviceSpec): boolean {
  if (!prefersSubgroupProducts(device) || !contractionOf(op).startsWith('attention')) return false;
  const { shape } = q.type;
  const [keys] = k.type.shape.slice(-2);
  const queries = sizeOf(shape.slice(shape.length > 2 ? 1 : 0, -1));
  return 4 * queries * keys <= (device.cacheBytes === undefined ? CACHED : device.cacheBytes / 4);
}

/** Whether contractions of a graph read more values than a kernel of the device binds beside the result, whatever is stored. */
export function crowds(graph: Graph, device: DeviceSpec): (contraction: Node) => boolean {
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const loaded = new Set<Node>();
  for (const node of nodesOf(graph)) if (isStored(node) || node.inputs.some((x) => loaded.has(x))) loaded.add(node);
  return ({ inputs }) => new Set(inputs.filter((x) => loaded.has(x))).size > most;
}
