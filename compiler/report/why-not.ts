/**
 * Why two values are not in one kernel: the remarks that the scheduler made where it ended one kernel and began the next,
 * along the way from one value to the other. Nothing is guessed here; what has no remark is said to have none.
 */
import type { EntryRecord, RemarkRecord } from './record.ts';
import { namesOf, resolve, type Candidate, type Resolved } from './resolve.ts';

/** A value kept in memory between two dispatches, and why it is. */
export interface Boundary {
  readonly value: string;
  readonly from: number;
  readonly to: number;
  readonly reasons: readonly RemarkRecord[];
}

export type Answer =
  /** One kernel computes both; `remarks` are on what brought them together. */
  | { readonly kind: 'together'; readonly a: Candidate; readonly b: Candidate; readonly dispatch: number }
  /** One is computed from the other, with these boundaries between them. */
  | { readonly kind: 'apart'; readonly a: Candidate; readonly b: Candidate; readonly path: readonly Boundary[] }
  /** Neither is computed from the other; each has its own way to the dispatch where they meet, if they do. */
  | {
      readonly kind: 'unrelated';
      readonly a: Candidate;
      readonly b: Candidate;
      readonly meet?: number;
      readonly paths: readonly (readonly Boundary[])[];
    }
  /** One of them is in memory before anything runs. */
  | { readonly kind: 'stored'; readonly a: Candidate; readonly b: Candidate; readonly which: Candidate }
  /** A name that means several values of the model. */
  | { readonly kind: 'ambiguous'; readonly query: string; readonly candidates: readonly Candidate[] }
  /** A value that a rule has done away with. */
  | { readonly kind: 'gone'; readonly query: string; readonly rule: RemarkRecord }
  | { readonly kind: 'unknown'; readonly query: string };

export function whyNot(record: EntryRecord, first: string, second: string): Answer {
  const resolved: Resolved[] = [];
  for (const query of [first, second]) {
    const found = resolve(record, query);
    if (!found) return missing(record, query);
    const places = new Set(found.candidates.map(({ at, op }) => at ?? op));
    const isNamed = found.kind === 'value' && places.size > 1 && !sameValue(found.candidates);
    if (isNamed) return { kind: 'ambiguous', query, candidates: found.candidates };
    resolved.push(found);
  }
  const { a, b, way } = nearestPair(record, resolved[0].candidates, resolved[1].candidates);
  const which = [a, b].find((c) => !c.computedBy.length);
  if (which) return { kind: 'stored', a, b, which };
  if (way?.length === 1) return { kind: 'together', a, b, dispatch: way[0] };
  if (way) return { kind: 'apart', a, b, path: boundaries(record, way) };
  return unrelated(record, a, b);
}

/** Remarks of rules about values of these names or places: whether a rule fired there, and if not, why. */
export function rulesOn(record: EntryRecord, ...asked: readonly Candidate[]): RemarkRecord[] {
  const concerns = (remark: RemarkRecord, { value, at }: Candidate) =>
    remark.values.some((v) => v === value || (at !== undefined && v.endsWith(` @ ${at}`)));
  const rules = record.remarks.filter(({ by }) => by.startsWith('rule '));
  return rules.filter((remark) => asked.every((candidate) => concerns(remark, candidate)));
}

/** The pieces of one value (a linear's product and sum, say) bear its name at one line: the last of them is meant. */
const sameValue = (candidates: readonly Candidate[]): boolean =>
  new Set(candidates.map(({ at }) => at?.replace(/:\d+$/, ''))).size === 1;

function missing(record: EntryRecord, query: string): Answer {
  const rule = record.remarks.find(
    ({ by, kind, values }) =>
      by.startsWith('rule ') && kind === 'applied' && values.some((value) => value.startsWith(`${query} @ `)),
  );
  return rule ? { kind: 'gone', query, rule } : { kind: 'unknown', query };
}

interface Pair {
  readonly a: Candidate;
  readonly b: Candidate;
  /** Dispatches from one to the other, in either direction; a single one computes both. */
  readonly way?: readonly number[];
}

function nearestPair(record: EntryRecord, as: readonly Candidate[], bs: readonly Candidate[]): Pair {
  const readers = readersOf(record);
  let best: Pair = { a: as[0], b: bs[0] };
  const consider = (from: Candidate, to: Candidate, pair: Omit<Pair, 'way'>) => {
    const way = shortest(from.computedBy, new Set(to.computedBy), readers);
    if (way && way.length < (best.way?.length ?? Infinity)) best = { ...pair, way };
  };
  for (const a of as) {
    for (const b of bs) {
      consider(a, b, { a, b });
      consider(b, a, { a, b });
      if (best.way?.length === 1) return best;
    }
  }
  return best;
}

/** The dispatches that read each dispatch's result. */
function readersOf({ dispatches }: EntryRecord): number[][] {
  const readers: number[][] = dispatches.map(() => []);
  dispatches.forEach(({ after }, i) => after.forEach((from) => readers[from].push(i)));
  return readers;
}

/** The shortest chain of dispatches from one of `from` to one of `to`, each reading the result of the one before. */
function shortest(
  from: readonly number[],
  to: ReadonlySet<number>,
  readers: readonly number[][],
): number[] | undefined {
  const before = new Map<number, number | undefined>(from.map((i) => [i, undefined]));
  const queue = [...from];
  for (const at of queue) {
    if (to.has(at)) {
      const way = [at];
      for (let i = before.get(at); i !== undefined; i = before.get(i)) way.unshift(i);
      return way;
    }
    for (const next of readers[at]) {
      if (before.has(next)) continue;
      before.set(next, at);
      queue.push(next);
    }
  }
  return undefined;
}

function boundaries(record: EntryRecord, way: readonly number[]): Boundary[] {
  return way.slice(0, -1).map((from, i) => {
    const reads = namesOf(record.dispatches[way[i + 1]].reads);
    const values = namesOf(record.dispatches[from].values);
    // Of several results the one that is read there; a window of the only one has a name of its own.
    const value = values.findLast((name) => reads.includes(name)) ?? values.at(-1)!;
    return { value, from, to: way[i + 1], reasons: reasonsFor(record, value) };
  });
}

/** What the schedule said when it gave a value memory of its own. */
const reasonsFor = ({ remarks }: EntryRecord, value: string): RemarkRecord[] =>
  remarks.filter(({ by, kind, values }) => kind === 'missed' && !by.startsWith('rule ') && values[0] === value);

function unrelated(record: EntryRecord, a: Candidate, b: Candidate): Answer {
  const readers = readersOf(record);
  let best: { meet: number; ways: number[][] } | undefined;
  record.dispatches.forEach((_, meet) => {
    const ways = [a, b].flatMap(({ computedBy }) => {
      const way = shortest(computedBy, new Set([meet]), readers);
      return way ? [way] : [];
    });
    const length = (list: number[][]) => list.reduce((sum, way) => sum + way.length, 0);
    if (ways.length === 2 && (!best || length(ways) < length(best.ways))) best = { meet, ways };
  });
  return { kind: 'unrelated', a, b, meet: best?.meet, paths: (best?.ways ?? []).map((way) => boundaries(record, way)) };
}
