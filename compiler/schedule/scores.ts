/**
 * Small attentions on software devices are better as products: a subgroup that walks over few keys spends its time on shuffles
 * and exponentials there (lavapipe, 49 tokens, heads of 32: 0.28 GFLOP/s forward and 0.25 backward as one kernel each, as
 * products 1 to 3.5, and softmax beside). Where scores are many, they are never stored on any device.
 */
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { limit, prefersSubgroupProducts, type DeviceSpec } from './device.ts';
import { isStored } from './storage.ts';

/** Scores that are stored where the device does not say how much its caches hold: bytes of f32. */
const CACHED = 2 ** 22;

/** Whether an attention, or a derivative of one, is computed by way of its scores in memory. */
export function storesScores({ inputs: [q, k] }: Node, device: DeviceSpec): boolean {
  if (!prefersSubgroupProducts(device)) return false;
  const [width] = q.type.shape.slice(-1);
  const [keys] = k.type.shape.slice(-2);
  return (byteSize({ ...q.type, dtype: 'f32' }) / width) * keys <= (device.cacheBytes ?? CACHED);
}

/** Whether contractions of a graph read more values than a kernel of the device binds beside the result, whatever is stored. */
export function crowds(graph: Graph, device: DeviceSpec): (contraction: Node) => boolean {
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const loaded = new Set<Node>();
  for (const node of nodesOf(graph)) if (isStored(node) || node.inputs.some((x) => loaded.has(x))) loaded.add(node);
  return ({ inputs }) => new Set(inputs.filter((x) => loaded.has(x))).size > most;
}
