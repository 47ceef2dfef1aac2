/** What a file of encoded pictures says of itself beside its tensors: written by `ditc encode`, read when it is trained on. */

/** Keys of the metadata. */
export const ENCODED = {
  /** Class names in JSON, in the order of their labels. */
  classes: 'ditc.classes',
  /** What latents are multiplied with. */
  scale: 'ditc.latentScale',
  /** What was encoded by what, in JSON: two equal records are of the same file. */
  record: 'ditc.encoding',
} as const;

/** `OUT-00002-of-00010.safetensors`: one of several files that are together what one file would have been. */
export const shardName = (stem: string, index: number, of: number): string =>
  `${stem}-${pad(index + 1)}-of-${pad(of)}.safetensors`;

const pad = (n: number): string => String(n).padStart(5, '0');

/** The parts of a shard's name; undefined for another name. */
export function shardOf(name: string): { stem: string; index: number; of: number } | undefined {
  const [, stem, index, of] = /^(.+)-(\d{5,})-of-(\d{5,})\.safetensors$/.exec(name) ?? [];
  return stem === undefined ? undefined : { stem, index: Number(index) - 1, of: Number(of) };
}
