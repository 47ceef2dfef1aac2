/**
 * What to compute again. Time before the turn (where most memory is in use) is cut where little is alive: between the blocks
 * of a network, whatever they are, only what flows from one to the next. Of the segments between the cuts those are chosen
 * that free most memory for least work; from what is alive at its start, each is computed again after the turn, when it is
 * read. Chen et al. 2016, "Training deep nets with sublinear memory cost", with segments found and not declared.
 */
import type { Node } from '../ir/index.ts';
import { sumOver, type Stored, type Timeline } from './timeline.ts';

/** Steps after `from` up to `to`. */
export interface Segment {
  readonly from: number;
  readonly to: number;
  /** What it writes and no later step up to the turn reads: those after the turn read copies. */
  readonly local: ReadonlySet<Node>;
  /** Bytes free at the turn. */
  readonly saving: number;
  /** Of doing it again; in multiply-accumulates. */
  readonly work: number;
}

/**
 * Segments that together free `wanted` bytes at the turn; where that cannot be, half of what can, for the next round to see
 * what is left. Short ones first: a segment that is computed again has all its memory at once. Longer ones keep less at their
 * starts.
 */
export function chooseSegments(timeline: Timeline, wanted: number): Segment[] {
  const cuts = cutsOf(timeline);
  let best: readonly Segment[] = [];
  for (let span = 1; span < cuts.length; span *= 2) {
    const ends = cuts.filter((_, i) => i % span === 0);
    const all = ends.slice(1).map((to, i) => segmentOf(timeline, ends[i], to));
    const useful = all.filter(({ saving }) => saving > 0);
    if (sumOfSavings(useful) >= wanted) return cheapest(useful, wanted);
    if (gainOf(useful) > gainOf(best)) best = useful;
  }
  return cheapest(best, sumOfSavings(best) / 2);
}

const sumOfSavings = (segments: readonly Segment[]): number => segments.reduce((sum, { saving }) => sum + saving, 0);

/** Bytes that are free at any time when all segments are computed again, one by one. */
const gainOf = (segments: readonly Segment[]): number =>
  sumOfSavings(segments) - segments.reduce((most, { saving }) => Math.max(most, saving), 0);

/** Those that free most for their work; of equals the first ones, since what the last ones wrote is soon read and freed. */
function cheapest(segments: readonly Segment[], wanted: number): Segment[] {
  const rate = ({ saving, work }: Segment) => saving / work;
  const chosen = new Set<Segment>();
  let saved = 0;
  for (const segment of [...segments].sort((x, y) => rate(y) - rate(x) || x.from - y.from)) {
    if (saved >= wanted) break;
    chosen.add(segment);
    saved += segment.saving;
  }
  // The last one may have made others needless.
  for (const segment of [...chosen].sort((x, y) => y.work - x.work)) {
    if (saved - segment.saving < wanted) continue;
    chosen.delete(segment);
    saved -= segment.saving;
  }
  return [...chosen].sort((x, y) => x.from - y.from);
}

/** The last step up to the turn that reads a value; where it is written when none does. */
const lastBefore = ({ readAt, writtenAt }: Stored, turn: number): number =>
  readAt.findLast((step) => step <= turn) ?? writtenAt;

const isReadAfter = ({ readAt }: Stored, turn: number): boolean => (readAt.at(-1) ?? -1) > turn;

/** A cut is looked for until this many times as much is written as is alive at the best one. */
const REACH = 24;
/** How much more than at the best cut may be alive at an earlier one. */
const SLACK = 1.25;

/**
 * The beginning, and steps after which little is alive of what steps up to the turn still read. From one to the next at least
 * as much is written as is alive there: else nothing would be gained.
 */
function cutsOf({ values, turn }: Timeline): number[] {
  const before = [...values.values()].filter(({ writtenAt }) => writtenAt < turn);
  const written = sumOver(
    turn,
    before.map(({ writtenAt, bytes }) => [writtenAt, writtenAt, bytes] as const),
  );
  const alive = sumOver(
    turn,
    before.flatMap((value) => {
      const { writtenAt, bytes, isResult } = value;
      return isResult ? [] : [[writtenAt, lastBefore(value, turn) - 1, bytes] as const];
    }),
  );
  const cuts = [-1];
  for (let cut: number | undefined = -1; (cut = nextCut(cut, written, alive)) !== undefined;) cuts.push(cut);
  return cuts;
}

function nextCut(from: number, written: readonly number[], alive: readonly number[]): number | undefined {
  const found: number[] = [];
  let least = Infinity;
  for (let step = from + 1, sum = 0; step < alive.length && sum <= REACH * least; step++) {
    sum += written[step];
    if (sum < alive[step]) continue;
    found.push(step);
    least = Math.min(least, alive[step]);
  }
  return found.find((step) => alive[step] <= SLACK * least);
}

function segmentOf({ values, reads, work, turn }: Timeline, from: number, to: number): Segment {
  const isLocal = (value: Stored) =>
    value.writtenAt > from && value.writtenAt <= to && !value.isResult && lastBefore(value, turn) <= to;
  const local = [...values.values()].filter(isLocal);
  const dropped = local.filter((value) => isReadAfter(value, turn));
  const again = new Set<number>();
  const sources = new Set<Stored>();
  const visit = (step: number): void => {
    if (again.has(step)) return;
    again.add(step);
    for (const value of reads[step]) {
      if (isLocal(value)) visit(value.writtenAt);
      else sources.add(value);
    }
  };
  for (const { writtenAt } of dropped) visit(writtenAt);
  const total = (list: readonly Stored[]) => list.reduce((sum, { bytes }) => sum + bytes, 0);
  // What is read again is kept until then, where it was not before.
  const kept = [...sources].filter((value) => !value.isResult && !isReadAfter(value, turn));
  return {
    ...{ from, to },
    local: new Set(local.map(({ node }) => node)),
    saving: total(dropped) - total(kept),
    work: [...again].reduce((sum, step) => sum + work[step], 0),
  };
}
