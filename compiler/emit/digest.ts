/** The digests that a manifest carries, so that an artefact is loaded as it was built or not at all. */
import { createHash } from 'node:crypto';
import type { Manifest } from './artefact.ts';

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** The manifest with a digest of each file beside it, and last one of itself: of its JSON without that. */
export function signed(manifest: Manifest, files: ReadonlyMap<string, string | Uint8Array>): Manifest {
  const digests = Object.fromEntries([...files].map(([name, content]) => [name, sha256(content)]));
  const whole = { ...manifest, files: digests };
  return { ...whole, digest: sha256(JSON.stringify(whole)) };
}
