/** Weights as a page downloads them: whole words, in the order in which kernels read them first, in files of at most 16 MiB. */
import type { Artefact, Manifest, ParamSpec } from '../../compiler/emit/artefact.ts';
import { encode, type Chunks } from '../../runtime/transfer.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { trainedWeights } from '../../runtime/checkpoint/trained.ts';
import type { StoredTensor, StoredTensors } from '../../runtime/web/model-file.ts';
import { parametersOf } from '../../runtime/weights.ts';
import { ChunkWriter, type Keep } from './chunks.ts';

export interface WebWeights<Kept> {
  readonly stored: StoredTensors;
  readonly files: ReadonlyMap<string, Kept>;
}

/** The parameters of an artefact from a checkpoint; those that the model computes come from the artefact where the file has none. */
export async function webWeights<Kept>(
  { manifest, data }: Artefact,
  checkpoint: TensorFile,
  keep: Keep<Kept>,
  onNote?: (note: string) => void,
): Promise<WebWeights<Kept>> {
  const { file, note } = trainedWeights(checkpoint);
  if (note !== undefined) onNote?.(note);
  const chunks = new ChunkWriter(keep, { folder: 'weights' });
  const tensors: StoredTensor[] = [];
  for await (const [spec, values] of parametersOf(manifest, file, {
    computed: true,
    order: byFirstUse(manifest),
    onNote,
  })) {
    const { name, shape, dtype } = spec;
    tensors.push({ name, shape, dtype, offset: chunks.bytes });
    await write(chunks, spec, values ?? data.get(`init.${name}`)!);
  }
  return { stored: { chunks: chunks.done(), tensors }, files: chunks.files };
}

/** The parameters in the order in which dispatches bind them; those that none binds by name last. */
function byFirstUse({ params, entries, packs = [] }: Manifest): ParamSpec[] {
  const members = new Map(packs.map((pack) => [pack.name, pack.params]));
  const used = Object.values(entries).flatMap(({ dispatches }) =>
    dispatches.flatMap(({ resources }) =>
      resources.flatMap((r) => (r.kind === 'param' ? [r.name] : r.kind === 'pack' ? (members.get(r.name) ?? []) : [])),
    ),
  );
  const place = new Map([...new Set(used)].map((name, i) => [name, i]));
  const rank = ({ name }: ParamSpec) => place.get(name) ?? place.size;
  return params.toSorted((a, b) => rank(a) - rank(b));
}

async function write(to: ChunkWriter<unknown>, spec: ParamSpec, chunks: Chunks): Promise<void> {
  // An f16 that is alone waits for its partner: words are whole.
  let rest: Float32Array | undefined;
  for await (const chunk of ArrayBuffer.isView(chunks) ? [chunks] : chunks) {
    let values = chunk;
    if (spec.dtype === 'f16') {
      const all = rest ? Float32Array.of(...rest, ...chunk) : (chunk as Float32Array);
      const even = all.length - (all.length % 2);
      rest = even < all.length ? all.slice(even) : undefined;
      values = all.subarray(0, even);
    }
    append(to, encode(spec, values));
  }
  if (rest) append(to, encode(spec, rest));
}

const append = (to: ChunkWriter<unknown>, { buffer, byteOffset, byteLength }: ArrayBufferView): void =>
  to.add(new Uint8Array(buffer, byteOffset, byteLength));
