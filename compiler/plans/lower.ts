/** A region and its plan become a kernel. */
import { isFloat, sizeOf, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { bindingsOf, boundType, isBundle, isOfStates, type Bound, type Region } from '../fusion/regions.ts';
import { isPack } from '../rewrite/packs.ts';
import { KernelBuilder } from '../kernel/builder.ts';
import { Inliner } from '../kernel/inline.ts';
import type { Kernel } from '../kernel/ir.ts';
import type { DeviceSpec } from '../device.ts';
import type { Output } from './common.ts';
import { choosePlan, familyOf, type Plan } from './registry.ts';

/** Buffers of the kernel are `bindingsOf` the region, in order. Throws where the plan is none for it: it would compute something else. */
export function lower(region: Region, wanted: Plan, device: DeviceSpec): Kernel {
  const plan = choosePlan(region, device, undefined, wanted);
  const b = new KernelBuilder();
  const inline = new Inliner(b, sharedMembers(region));
  const homes = declareBuffers(region, plan, b);
  const read = (node: Node, { buffer, offset }: Home): void => {
    inline.buffers.set(node, buffer);
    if (offset) inline.offsets.set(node, offset);
  };
  for (const node of region.reads) read(node, homes.get(node)!);
  for (const [node, old] of region.replaces) read(old, homes.get(node)!);
  const outputs = region.results.map((result): Output => ({ ...result, ...homes.get(result.node)! }));
  const { workgroupSize, grid, subgroup } = familyOf(plan).lower({ region, b, inline, outputs }, plan);
  return b.finish(workgroupSize, grid, subgroup);
}

/** Where a value lies: in a buffer, so many elements from its start. */
type Home = Pick<Output, 'buffer' | 'offset'>;

function declareBuffers(region: Region, plan: Plan, b: KernelBuilder): Map<Node, Home> {
  const { byFours, storesFours } = familyOf(plan);
  const isResult = (node: Node) => region.results.some((result) => result.node === node);
  const homes = new Map<Node, Home>();
  for (const binding of bindingsOf(region)) {
    const fours = byFours?.(plan) && liesInFours(binding, region, storesFours) ? 'open' : undefined;
    if (isBundle(binding)) {
      const { parts, elements, isWritten } = binding;
      const access = isWritten ? 'read_write' : 'read';
      const [first] = parts.keys();
      const name = isOfStates(binding) ? `${tailOf(binding.states[0])}_state` : `${bufferName(first)}_parts`;
      const buffer = b.buffer(name, first.type.dtype, elements, access, fours);
      for (const [node, { offset }] of parts) homes.set(node, { buffer, offset });
    } else {
      const access = isResult(binding) ? 'read_write' : 'read';
      const lead = region.leads.get(binding) ?? 0;
      const elements = lead + sizeOf(boundType(binding, region).shape);
      const buffer = b.buffer(bufferName(binding), binding.type.dtype, elements, access, fours);
      const start = region.spans.get(binding)?.start ?? 0;
      homes.set(binding, { buffer, offset: lead - start * sizeOf(binding.type.shape.slice(1)) });
    }
  }
  return homes;
}

/** Whether what a kernel binds may be an array of fours. */
function liesInFours(binding: Node | Bound, region: Region, storesFours = false): boolean {
  if (isBundle(binding)) {
    const { elements, parts, isWritten } = binding;
    const isAligned = [...parts.values()].every(({ offset }) => offset % 4 === 0);
    return elements % 4 === 0 && isAligned && (storesFours || !isWritten);
  }
  const isRead = region.reads.includes(binding);
  const isWhole = [region.leads.get(binding) ?? 0, sizeOf(boundType(binding, region).shape)].every((n) => n % 4 === 0);
  return isFloat(binding.type.dtype) && isWhole && (storesFours || isRead);
}

/** Pointwise members that several members read, or that one reads and the kernel writes. */
function sharedMembers({ members, results }: Region): Set<Node> {
  const readers = new Map(results.map(({ node }) => [node, 1]));
  for (const member of members)
    for (const input of new Set(member.inputs)) readers.set(input, (readers.get(input) ?? 0) + 1);
  return new Set(members.filter((node) => opDef(node.op).kind === 'pointwise' && (readers.get(node) ?? 0) > 1));
}

/** The user's variable, or the tail of a parameter's name: `blocks.0.attn.qkv.weight` reads `qkv_weight`. */
export function bufferName(node: Node): string {
  if (node.attrs.data instanceof Float64Array) return node.name ?? 'table';
  if (isPack(node)) return `${bufferName(node.inputs[0])}_pack`;
  if (typeof node.attrs.name !== 'string') {
    if (node.name) return node.name;
    return opDef(node.op).kind === 'view' ? bufferName(node.inputs[0]) : (node.origin ?? node.op);
  }
  return tailOf(node.attrs.name);
}

function tailOf(name: string): string {
  const parts = name.split('.');
  const tail = parts.slice(-2);
  // A numbered module (`adaLN_modulation.1.weight`) is named by what holds it.
  if (parts.length > 2 && /^\d+$/.test(tail[0])) tail.unshift(parts[parts.length - 3]);
  return tail.join('_');
}
