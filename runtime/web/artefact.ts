/** Artefacts as the JSON of a page: unpacked, they are what any {@link Artefact} is. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { PackedArtefact } from './model-file.ts';

const TYPES = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;

export function unpacked({ manifest, wgsl, data }: PackedArtefact): Artefact {
  const values = Object.entries(data).map(([name, { dtype, base64 }]) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return [name, new TYPES[dtype](bytes.buffer)] as const;
  });
  return { manifest, wgsl: new Map(Object.entries(wgsl)), data: new Map(values) };
}
