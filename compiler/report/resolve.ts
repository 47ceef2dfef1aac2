/** What a name given to `--why-not` stands for in a record: a variable, a parameter, a kernel, an op, or a name of graph.ir. */
import type { EntryRecord, Origin } from './record.ts';

/** One value (or one dispatch, for kernels and ops) that a name may mean. */
export interface Candidate {
  /** Name in graph.ir. */
  readonly value: string;
  readonly op: string;
  readonly at?: string;
  /** Dispatches that compute it: several when it is recomputed, none for what is read from memory. */
  readonly computedBy: readonly number[];
  readonly readBy: readonly number[];
}

/** How a name was understood. Of a `class`, any member will do; a `value` is wanted in particular. */
export interface Resolved {
  readonly kind: 'value' | 'class';
  readonly candidates: readonly Candidate[];
}

/** Every reading of a name in order of preference: the first that means something. `NAME:LINE` narrows a name down. */
export function resolve(record: EntryRecord, query: string): Resolved | undefined {
  const [, name, line] = /^(.*?)(?::(\d+)(?::\d+)?)?$/.exec(query)!;
  const wanted = name.replace(/^%/, '');
  const values = valuesIn(record);
  const onLine = (c: Candidate) => !line || c.at?.split(':').at(-2) === line;
  const isNamed = ({ name: own }: Origin) => own === wanted;
  const readings: [Resolved['kind'], (c: Candidate, origin: Origin) => boolean][] = [
    ['value', (c) => query.startsWith('%') && c.value === query],
    ['value', (c, origin) => isNamed(origin) && onLine(c)],
    ['value', (c) => !line && Object.hasOwn(record.outputs, wanted) && c.value === record.outputs[wanted]],
    ['value', (c) => c.at !== undefined && line !== undefined && c.at.startsWith(`${name}:${line}:`)],
    ['class', (c) => c.computedBy.some((i) => isResult(record, i, c) && record.dispatches[i].kernel === wanted)],
    ['class', (c, { op, part }) => (op === wanted || part === wanted) && onLine(c)],
    ['value', (c) => c.value === `%${wanted}`],
  ];
  for (const [kind, holds] of readings) {
    const candidates = values.filter(({ candidate, origin }) => holds(candidate, origin)).map((v) => v.candidate);
    if (candidates.length) return { kind, candidates };
  }
  return undefined;
}

/** Names to suggest for one that means nothing. */
export const knownNames = (record: EntryRecord): string[] => [
  ...new Set([
    ...Object.keys(record.outputs),
    ...record.origins.flatMap(({ name }) => name ?? []),
    ...record.dispatches.map(({ kernel }) => kernel),
    ...record.origins.flatMap(({ op, part }) => [op, ...(part ? [part] : [])]),
  ]),
];

function isResult({ dispatches }: EntryRecord, dispatch: number, { value }: Candidate): boolean {
  return namesOf(dispatches[dispatch].values).at(-1) === value;
}

export const namesOf = (text: string): string[] => (text ? text.split(' ') : []);

function valuesIn({ dispatches, origins }: EntryRecord): { candidate: Candidate; origin: Origin }[] {
  const found = new Map<string, { origin: Origin; computedBy: number[]; readBy: number[] }>();
  const entry = (value: string, origin: Origin) => {
    const made = found.get(value) ?? { origin, computedBy: [], readBy: [] };
    found.set(value, made);
    return made;
  };
  dispatches.forEach(({ values, from }, i) =>
    namesOf(values).forEach((value, j) => entry(value, origins[from[j]]).computedBy.push(i)),
  );
  // What nobody computes is a parameter, state or input, or a stretch of another value's memory.
  dispatches.forEach(({ reads }, i) =>
    namesOf(reads).forEach((value) => entry(value, { name: value.slice(1), op: 'memory' }).readBy.push(i)),
  );
  return [...found].map(([value, { origin, computedBy, readBy }]) => ({
    candidate: { value, op: origin.part ?? origin.op, at: origin.at, computedBy, readBy },
    origin,
  }));
}
