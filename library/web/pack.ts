/** An artefact as the JSON that a page loads (runtime/web/artefact.ts). */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { PackedArtefact } from '../../runtime/web/model-file.ts';

/** All of it but the tensors that `isLeftOut` names, which come from elsewhere. */
export function packed({ manifest, wgsl, data }: Artefact, isLeftOut = (_name: string) => false): PackedArtefact {
  const kept = [...data].filter(([name]) => !isLeftOut(name));
  return {
    manifest,
    wgsl: Object.fromEntries(wgsl),
    data: Object.fromEntries(
      kept.map(([name, values]) => {
        const dtype = values instanceof Float32Array ? 'f32' : values instanceof Int32Array ? 'i32' : 'u32';
        const base64 = Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
        return [name, { dtype, base64 }];
      }),
    ),
  };
}
