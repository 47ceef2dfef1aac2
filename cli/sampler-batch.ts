/** The sampling entries compiled for a device, with the batch that it can hold. */
import type { Artefact } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/error.ts';
import type { Precision } from '../compiler/pipeline.ts';
import type { DeviceSpec } from '../compiler/device.ts';
import { compileArtefact, type LoadedModel } from './model.ts';
import type { Terminal } from './terminal.ts';
import { SAMPLING_ENTRIES } from '../runtime/sample.ts';

/** Pictures at once, unless told; fewer when the device cannot hold so many. */
export const DEFAULT_BATCH = 8;

/**
 * Compiles for `count` pictures, each to come out the same whatever the batch (`steady`). Where the batch is ours to choose, it is
 * halved until it fits.
 */
export function compileSampler(
  loaded: LoadedModel,
  device: DeviceSpec,
  settings: object,
  count: number,
  {
    batch: given,
    entries = SAMPLING_ENTRIES,
    dtype,
    tuning,
    terminal,
  }: { batch?: number; entries?: readonly string[]; dtype?: Precision; tuning?: string; terminal?: Terminal } = {},
): Artefact {
  // As even as can be: ten pictures are two fives, not an eight and a two that is filled up.
  let batch = given ?? Math.ceil(count / Math.ceil(count / DEFAULT_BATCH));
  for (;;) {
    try {
      const entryOptions = { ...settings, batch };
      const steady = { ...device, steady: true };
      const options = { device: steady, entries, entryOptions, dtype, tuning, terminal };
      return compileArtefact(loaded, options);
    } catch (error) {
      const tooLarge = error instanceof DitcError && error.code === 'limit';
      if (!tooLarge || given !== undefined || batch === 1) throw error;
      batch = Math.ceil(batch / 2);
    }
  }
}
