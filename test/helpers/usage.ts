/**
 * What WebGPU asks of a dispatch and memory in this process does not: a buffer that it writes it does not read by another binding, and what
 * it writes by two lies apart, with all that leads to each.
 */
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
  const bound = resources.map((resource, i) => {
    return { buffer: bufferOf(resource), access: kernels[kernel].bindings[i].access, ...stretchOf(resource) };
  });
  for (const [i, one] of bound.entries())
    for (const other of bound.slice(0, i)) {
      if (one.buffer !== other.buffer) continue;
      if (one.access !== other.access) throw new Error(`${kernel} reads and writes ${one.buffer}`);
      const isOver = one.from < other.to && other.from < one.to;
      if (one.access !== 'read' && isOver)
        throw new Error(`${kernel} writes a stretch of ${one.buffer} by two bindings`);
    }
}

/** The bytes of an arena that are bound; of what has a name they are not known here. */
function stretchOf(resource: Resource): { from: number; to: number } {
  if (resource.kind !== 'arena') return { from: 0, to: 0 };
  const { offset, size, lead = 0 } = resource;
  return { from: offset - lead, to: offset + size };
}
