/**
 * What a visitor of a page chooses that is built in elsewhere: how many steps a picture takes, and the sampler. A model is given an entry
 * for each sampler; the number of steps becomes an input of them. Each step shows what it expects, too.
 */
import type { Entry, EntryFunction, EntryOptions, Model } from '../../compiler/dsl/model.ts';
import { optionsRead } from '../../compiler/dsl/model.ts';
import { entriesOf, SAMPLING_ENTRIES } from '../../runtime/sample.ts';

export interface Choices {
  readonly model: Model;
  readonly entries: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  /** All that there are. */
  readonly samplers: readonly string[];
}

/** Steps that a visitor can choose unless the build says how many, or the model takes more by itself. */
const USUAL_MOST = 50;

/** A model with sampling entries, and the entries to compile of it. */
export function withChoices(model: Model, batch: number, most?: number): Choices {
  const samplers = model.choices?.sampler ?? [];
  const own = model.options?.sampler as string | undefined;
  const others = samplers.filter((sampler) => sampler !== own);
  const added = others.flatMap((sampler) =>
    entriesOf(sampler, own).map(
      (name, i) => [name, withOptions(model.entries[SAMPLING_ENTRIES[i]], { sampler })] as const,
    ),
  );
  const read = optionsRead(model, { batch }, SAMPLING_ENTRIES);
  const steps = Math.max(USUAL_MOST, Number(model.options?.steps) || 0);
  return {
    model: { ...model, entries: { ...model.entries, ...Object.fromEntries(added) } },
    entries: [...SAMPLING_ENTRIES, ...added.map(([name]) => name)],
    options: { ...(read.has('mostSteps') && { mostSteps: most ?? steps }), preview: true },
    samplers,
  };
}

/** An entry as it is with other options. */
const withOptions =
  (entry: EntryFunction, options: Partial<EntryOptions>): EntryFunction =>
  (e: Entry) =>
    entry(Object.create(e, { options: { value: { ...e.options, ...options } } }) as Entry);
