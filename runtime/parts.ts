/** What entries consist of besides their own dispatches: preludes that fill tables, bodies of loops and what comes before these. */
import type { Manifest } from '../compiler/emit/artefact.ts';

/** An entry, so many times in a row, each time after its parts. */
export interface Turns {
  readonly entry: string;
  readonly times: number;
  readonly parts: readonly Turns[];
}

type Entries = Manifest['entries'];

export const turnsOf = (entries: Entries, entry: string, times = 1): Turns => {
  const parts = (entries[entry].parts ?? []).map((part) => turnsOf(entries, part.entry, part.times));
  return { entry, times, parts };
};

/** The entries among turns, parts first. */
export const entriesIn = ({ entry, parts }: Turns): string[] => [...parts.flatMap(entriesIn), entry];

/** How often the entries among turns run in all, parts first. */
export const timesIn = ({ entry, times, parts }: Turns): (readonly [entry: string, times: number])[] => [
  ...parts.flatMap(timesIn).map(([part, each]) => [part, each * times] as const),
  [entry, times],
];

/** An entry and its parts, in the order in which they first run. */
export const partsOf = (entries: Entries, entry: string): string[] => entriesIn(turnsOf(entries, entry));

/** The entries with all that they need. */
export const withParts = ({ entries }: Manifest, names: readonly string[]): string[] => [
  ...new Set(names.flatMap((name) => [entries[name].prelude ?? name, name].flatMap((one) => partsOf(entries, one)))),
];
