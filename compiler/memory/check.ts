/** Proves a memory plan before anything is emitted from it. */
import { byteSize, DitcError, type Node } from '../ir/index.ts';
import { ALIGNMENT, limit, type DeviceSpec } from '../device.ts';
import { heirsOf, overlap, partsOf, type MemoryPlan, type Step } from './plan.ts';

/**
 * Throws if two living values overlap, a dispatch reads the arena it writes or what is not written yet, a part is not in its
 * place in the whole, or an offset or size breaks a limit.
 */
export function checkMemory(plan: MemoryPlan, steps: readonly Step[], device: DeviceSpec): void {
  const [heirs, parts] = [heirsOf(steps), partsOf(steps)];
  const placed = [...plan.places].sort((a, b) => a[1].arena - b[1].arena || a[1].offset - b[1].offset);
  placed.forEach(([node, place], i) => {
    const start = place.offset - (parts.get(node)?.offset ?? 0);
    if (start % ALIGNMENT) fail(node, `offset ${start} is not a multiple of ${ALIGNMENT}`);
    if (place.size < byteSize(node.type)) fail(node, `its place of ${place.size} bytes is too small`);
    if (place.offset + place.size > plan.arenas[place.arena]) fail(node, 'its place ends after the arena');
    for (let j = i + 1; j < placed.length; j++) {
      const [other, next] = placed[j];
      if (next.arena !== place.arena || next.offset >= place.offset + place.size) break;
      const inherits = heirs.get(node) === other || heirs.get(other) === node;
      if (!inherits && overlap(plan.lifetimes.get(node)!, plan.lifetimes.get(other)!)) {
        fail(node, `it shares memory with ${describe(other)} while both live`);
      }
    }
  });
  for (const [i, { writes, reads }] of steps.entries()) {
    const early = reads.find((node) => (plan.lifetimes.get(node)?.from ?? -1) >= i);
    if (early) fail(early, 'it is read before it is written');
    for (const { node: written } of writes) {
      const target = plan.places.get(written)!;
      for (const node of reads) {
        if (plan.places.get(node)?.arena === target.arena)
          fail(written, `its dispatch reads ${describe(node)} from the arena it writes`);
      }
    }
  }
  checkWholes(plan, steps);
  const maxBuffer = limit(device, 'maxBufferSize');
  plan.arenas.forEach((bytes, arena) => {
    if (bytes > maxBuffer) {
      throw new DitcError({
        code: 'limit',
        what: `activations need an arena of ${bytes} bytes (arena ${arena}); ${device.name} allows buffers of ${maxBuffer}`,
        fix: 'use a smaller --batch, or compile for a device with a larger maxBufferSize (--device)',
      });
    }
  });
}

/** Parts follow each other without a gap from where the first one lies: whoever binds the whole reads them and nothing else. */
function checkWholes({ places }: MemoryPlan, steps: readonly Step[]): void {
  const starts = new Map<Node, { arena: number; offset: number }>();
  const filled = new Map<Node, number>();
  for (const [node, part] of [...partsOf(steps)].sort(([, a], [, b]) => a.offset - b.offset)) {
    const { arena, offset } = places.get(node)!;
    const start = starts.get(part.whole) ?? { arena, offset };
    starts.set(part.whole, start);
    if ((filled.get(part.whole) ?? 0) !== part.offset) fail(node, `${describe(part.whole)} has a gap before it`);
    if (arena !== start.arena || offset !== start.offset + part.offset)
      fail(node, `it is not in its place in ${describe(part.whole)}`);
    filled.set(part.whole, part.offset + byteSize(node.type));
  }
  for (const [whole, bytes] of filled)
    if (bytes !== byteSize(whole.type)) fail(whole, `its parts have ${bytes} bytes of ${byteSize(whole.type)}`);
}

/** A tensor that one binding cannot hold: named, with what would help. */
export function checkBinding(node: Node, device: DeviceSpec): void {
  const most = limit(device, 'maxStorageBufferBindingSize');
  const bytes = byteSize(node.type);
  if (bytes <= most) return;
  throw new DitcError({
    code: 'limit',
    where: node.loc,
    what: `${describe(node)} takes ${bytes} bytes; ${device.name} binds at most ${most}`,
    fix: 'use a smaller --batch or model, or a device with a larger maxStorageBufferBindingSize (--device)',
  });
}

const describe = (node: Node): string => String(node.attrs.name ?? node.name ?? `${node.op} %${node.id}`);

function fail(node: Node, why: string): never {
  throw new Error(`memory plan is wrong at ${describe(node)}: ${why}`);
}
