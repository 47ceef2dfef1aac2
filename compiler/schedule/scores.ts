/**
 * Small attentions on software devices are better as products: a subgroup that walks over few keys spends its time on shuffles
 * and exponentials there (lavapipe, 49 tokens, heads of 32: 0.28 GFLOP/s forward and 0.25 backward as one kernel each, as
 * products 1 to 3.5, and softmax beside). Where scores are many, they are never stored on any device.
 */
import { byteSize, type Node } from '../ir/index.ts';
import { prefersSubgroupProducts, type DeviceSpec } from './device.ts';

/** Scores that are stored where the device does not say how much its caches hold: bytes of f32. */
const CACHED = 2 ** 22;

/** Whether an attention, or a derivative of one, is computed by way of its scores in memory. */
export function storesScores({ inputs: [q, k] }: Node, device: DeviceSpec): boolean {
  if (!prefersSubgroupProducts(device)) return false;
  const [width] = q.type.shape.slice(-1);
  const [keys] = k.type.shape.slice(-2);
  return (byteSize({ ...q.type, dtype: 'f32' }) / width) * keys <= (device.cacheBytes ?? CACHED);
}
