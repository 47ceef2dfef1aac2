/**
 * Kernels that would bind more buffers than the device does are cut in two: a value on the way is stored, as if it were a result.
 * What grows from before it ends there, and what comes after reads one buffer for all that is behind it.
 */
import { byteSize, DitcError, labelOf, type Node, type Remarks } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { limit, tooManyBuffers, type DeviceSpec } from '../device.ts';
import { bindingsOf, type Region } from './regions.ts';
import { sliceOf } from './slice.ts';

/** Where to cut: one value of each kernel that binds too much, unless nothing is left to store. */
export function cutsOf(regions: readonly Region[], device: DeviceSpec, remarks?: Remarks): Node[] {
  const most = limit(device, 'maxStorageBuffersPerShaderStage');
  return regions.flatMap((region) => {
    const bound = bindingsOf(region).length;
    const cut = bound > most ? bestCut(region, limit(device, 'maxStorageBufferBindingSize')) : undefined;
    if (!cut) return [];
    const why = tooManyBuffers(bound - 1, most - 1, `with all behind ${labelOf(cut)}`);
    remarks?.missed('materialize', [cut, region.root], why);
    return [cut];
  });
}

/** The value whose storing leaves both parts as little to bind as can be; of several the smallest, and the last of these. */
function bestCut(region: Region, maxBytes: number): Node | undefined {
  const own = new Set(region.results.map(({ node }) => node));
  const isOpen = (node: Node) => !own.has(node) && opDef(node.op).kind !== 'leaf' && byteSize(node.type) <= maxBytes;
  let best: { node: Node; bound: number } | undefined;
  for (const node of region.members.filter(isOpen)) {
    const before = boundFor([node], region);
    if (before < 2) continue;
    const after = boundFor(own, region, node);
    const bound = Math.max(before, after);
    const isLess = best ? bound < best.bound : bound < bindingsOf(region).length;
    const isSmaller = bound === best?.bound && byteSize(node.type) <= byteSize(best.node.type);
    if (isLess || isSmaller) best = { node, bound };
  }
  return best?.node;
}

/** What a kernel binds that computes values, with `stored` in memory: at most. */
function boundFor(values: Iterable<Node>, { reads, replaces }: Region, stored?: Node): number {
  const inMemory = new Set([...reads, ...replaces.values()]);
  const all = [...values];
  return sliceOf(all, (node) => node === stored || inMemory.has(node)).reads.size + all.length;
}

/** Throws where a kernel binds more than the device does, and nothing is left to store instead. */
export function checkBuffers(region: Region, device: DeviceSpec): void {
  const most = limit(device, 'maxStorageBuffersPerShaderStage');
  const bound = bindingsOf(region).length;
  if (bound <= most) return;
  const { root } = region;
  const what = `the kernel of ${labelOf(root)} binds ${bound} buffers, ${device.name} ${most}`;
  const fix = 'join fewer values in one op, or use a device with more storage buffers per shader stage';
  throw new DitcError({ code: 'limit', where: root.loc, what, fix });
}
