/** What tuning found, for people. */
import { describePlan, type Plan } from '../../compiler/plans/registry.ts';
import type { Terminal } from '../terminal.ts';
import { cut, plural, table } from '../text.ts';
import { shownPath } from '../../library/tuning/path.ts';
import type { TuneResult } from './run.ts';
import type { Tuned } from './tune.ts';

/** Width of the whole table. */
const WIDTH = 130;

const number = (ms: number): string => ms.toPrecision(3);
const described = (plan: Plan): string => `${plan.family}, ${describePlan(plan)}`;
const isFaster = ({ own, best }: Tuned): boolean => own !== best;

export function tuneText({ out, tuned, kept, total, stopped }: TuneResult, { outColors: c }: Terminal): string {
  const rows = [...tuned].sort((a, b) => b.ownMs * b.uses - a.ownMs * a.uses).map((each) => rowOf(each));
  const head = ['kernel', 'uses', 'ms before', 'after', '', 'plans', 'wrong', 'judged by', 'plan'];
  const [first, ...rest] = table([head, ...rows], new Set([1, 2, 3, 4, 5, 6])).map((line) => `  ${cut(line, WIDTH)}`);
  const shown = tuned.length ? [c.dim(first), ...rest] : [];
  return [...shown, ...summary(tuned), lastLine(shownPath(out), tuned.length, kept, total, stopped)].join('\n');
}

function rowOf(each: Tuned): string[] {
  const { kernel, uses, own, best, ownMs, bestMs, tried, rejected, judge } = each;
  const won = isFaster(each);
  return [
    kernel,
    uses > 1 ? `×${uses}` : '',
    number(ownMs),
    number(bestMs),
    won ? `${(ownMs / bestMs).toFixed(2)}×` : '=',
    String(tried + rejected.length),
    rejected.length ? String(rejected.length) : '',
    judge,
    won ? described(best) : described(own),
  ];
}

function summary(tuned: readonly Tuned[]): string[] {
  if (!tuned.length) return [];
  const sum = (of: (each: Tuned) => number) => tuned.reduce((total, each) => total + each.uses * of(each), 0);
  const [before, after] = [sum(({ ownMs }) => ownMs), sum(({ bestMs }) => bestMs)];
  const faster = tuned.filter(isFaster).length;
  const plans = `${plural(faster, 'class is', 'classes are')} faster by another plan, ${tuned.length - faster} best as it was`;
  return [`  ${plans}; all dispatches together ${number(before)} → ${number(after)} ms`];
}

function lastLine(out: string, done: number, kept: number, total: number, stopped: boolean): string {
  const there = kept ? `, ${plural(kept, 'was', 'were')} there before` : '';
  if (!done && !stopped)
    return `nothing to measure: ${out} has all ${plural(kept, 'class', 'classes')} (--again measures them anew)`;
  if (stopped && !done) return 'stopped before the first kernel was measured: nothing was written';
  const head = `${stopped ? 'stopped; ' : ''}wrote ${out}  ${plural(done, 'class', 'classes')}${there}`;
  return stopped ? `${head}; of ${total} so far: the same command goes on` : head;
}
