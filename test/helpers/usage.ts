/** What WebGPU asks of a dispatch and memory in this process does not: a buffer that it writes it does not read by another binding. */
import type { Dispatch, Manifest, Resource } from '../../compiler/emit/artefact.ts';

export function checkUsage({ kernel, resources }: Dispatch, { kernels, packs = [], bundles = [] }: Manifest): void {
  /** What is one buffer: a pack with its parameters, a bundle with its states, an arena. */
  const bufferOf = (resource: Resource): string => {
    if (resource.kind === 'arena') return `arena ${resource.arena}`;
    const { kind, name } = resource;
    const pack = kind === 'param' ? packs.find(({ params }) => params.includes(name)) : undefined;
    const bundle = kind === 'state' ? bundles.find(({ states }) => states.includes(name)) : undefined;
    return pack ? `pack ${pack.name}` : bundle ? `bundle ${bundle.name}` : `${kind} ${name}`;
  };
  const accesses = new Map<string, Set<string>>();
  for (const [i, resource] of resources.entries()) {
    const buffer = bufferOf(resource);
    accesses.set(buffer, (accesses.get(buffer) ?? new Set()).add(kernels[kernel].bindings[i].access));
  }
  for (const [buffer, { size }] of accesses) if (size > 1) throw new Error(`${kernel} reads and writes ${buffer}`);
}
