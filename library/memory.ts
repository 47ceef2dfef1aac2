/**
 * Programs within the memory that they may use: compiled to compute again what it cannot keep, and refused when that is not
 * enough. All is told from the plan, before anything is allocated.
 */
import type { Artefact } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { planMemory } from '../runtime/buffers.ts';
import { withParts } from '../runtime/parts.ts';
import { bytes } from './units.ts';

type Built = Pick<Artefact, 'manifest'>;

/** What a batch takes, in bytes on the device. */
export interface Need {
  /** For the model and the training, at any batch. */
  readonly fixed: number;
  readonly total: number;
}

/** What entries take of the device. */
export function needOf({ manifest }: Built, entries: readonly string[] = Object.keys(manifest.entries)): Need {
  const { weights, state, constants, total } = planMemory(manifest, withParts(manifest, entries)).report;
  return { fixed: weights + state + constants, total };
}

/**
 * The artefact that takes at most `limit` bytes, or as little as can be. What the device pads and stages is known only
 * afterwards: then it is compiled once more, for less.
 */
export function compileWithin<C extends { readonly artefact: Built }>(
  limit: number,
  compile: (memory: number) => C,
): C {
  const compiled = compile(limit);
  const over = needOf(compiled.artefact).total - limit;
  if (over <= 0) return compiled;
  const less = compile(limit - over);
  return needOf(less.artefact).total < limit + over ? less : compiled;
}

/** What computing again adds to the work of the entry that does most of it; undefined when nothing is computed twice. */
export function recomputed({ manifest }: Built): string | undefined {
  const shares = Object.values(manifest.entries).map(({ dispatches, memory: { recomputedMacs = 0 } }) => {
    const once = dispatches.reduce((sum, { macs }) => sum + macs, -recomputedMacs);
    return recomputedMacs / (once || 1);
  });
  const most = Math.max(0, ...shares);
  return most ? `${(100 * most).toFixed(1)} % more MACs, to compute again what it does not keep` : undefined;
}

/** @throws DitcError `out-of-memory`, with the largest batch that fits, when `batch` takes more than `limit` bytes; `say` is how the caller's user writes the two. */
export function checkMemory(
  limit: number,
  batch: number,
  needs: (batch: number) => Need,
  say = { memory: '--memory', batch: '--batch ' },
): void {
  const need = needs(batch);
  if (need.total <= limit) return;
  const fits = largestBatch(limit, batch, needs);
  const parts = `${bytes(need.fixed)} for weights and state, ${bytes(need.total - need.fixed)} for the batch`;
  throw new DitcError({
    code: 'out-of-memory',
    what: `batch ${batch} needs ${bytes(need.total)}, ${say.memory} allows ${bytes(limit)}`,
    why: parts,
    fix: fits
      ? `give ${say.batch}${fits}, the largest that fits`
      : `not even ${say.batch}1 fits: allow ${bytes(needs(1).total)} or more, or train a smaller model`,
  });
}

/**
 * By bisection; each question is a compilation, so the first guess is that memory grows by the same for each example. What
 * computes again grows less, so from a guess that fits it goes up in steps that grow.
 */
function largestBatch(limit: number, batch: number, need: (batch: number) => Need): number {
  const [least, most] = [need(1).total, need(batch).total];
  if (least > limit) return 0;
  let [fits, fails] = [1, batch];
  let guess = 1 + Math.floor(((batch - 1) * (limit - least)) / (most - least));
  for (let step = 1; fails - fits > 1;) {
    const at = Math.min(Math.max(guess, fits + 1), fails - 1);
    if (need(at).total <= limit) [fits, guess, step] = [at, at + step, 2 * step];
    else [fails, guess] = [at, Math.floor((fits + at) / 2)];
  }
  return fits;
}
