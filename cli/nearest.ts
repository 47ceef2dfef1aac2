/** The name that was probably meant, for messages. */
import { nearest } from '../runtime/checkpoint/suggest.ts';

export const nearestName = (wanted: string, known: readonly string[]): string | undefined =>
  nearest(
    { name: wanted, shape: [] },
    known.map((name) => ({ name, shape: [] })),
  );
