/** What tuning found, for people. */
import { describePlan, type Plan } from '../../compiler/plans/registry.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import type { Terminal } from '../terminal.ts';
import { cut, plural, table } from '../text.ts';
import { shownPath } from '../../library/tuning/path.ts';
import type { Tuned, TuneResult } from './tune.ts';

/** Width of the whole table. */
const WIDTH = 130;

const number = (ms?: number): string => (ms === undefined ? 'wrong' : ms.toPrecision(3));
const described = (plan: Plan): string => `${plan.family}, ${describePlan(plan)}`;
const isFaster = ({ own, best }: Tuned): boolean => own !== best;
/** All runs of a class together. */
const taken = ({ uses, bestMs = 0, ownMs = bestMs }: Tuned): number => uses * ownMs;

export function tuneText({ out, tuned, kept, total, stopped }: TuneResult, { outColors: c }: Terminal): string {
  const rows = [...tuned].sort((a, b) => taken(b) - taken(a)).map((each) => rowOf(each));
  const head = ['kernel', 'uses', 'ms before', 'after', '', 'plans', 'wrong', 'judged by', 'plan'];
  const [first, ...rest] = table([head, ...rows], new Set([1, 2, 3, 4, 5, 6])).map((line) => `  ${cut(line, WIDTH)}`);
  const shown = tuned.length ? [c.dim(first), ...rest] : [];
  const written = tuned.filter(({ best }) => best).length;
  if (tuned.length && !written) return [...shown, 'no plan is right: nothing was written'].join('\n');
  return [...shown, ...summary(tuned), lastLine(shownPath(out), written, kept, total, stopped)].join('\n');
}

function rowOf(each: Tuned): string[] {
  const { kernel, uses, own, best, ownMs, bestMs, tried, rejected, judge } = each;
  const won = isFaster(each);
  return [
    kernel,
    uses > 1 ? `×${uses}` : '',
    number(ownMs),
    number(bestMs),
    won ? gain(each) : '=',
    String(tried + rejected.length),
    rejected.length ? String(rejected.length) : '',
    judge,
    best ? described(best) : `none: ${described(own)} is wrong`,
  ];
}

const gain = ({ ownMs, bestMs }: Tuned): string => (ownMs && bestMs ? `${(ownMs / bestMs).toFixed(2)}×` : '');

function summary(tuned: readonly Tuned[]): string[] {
  const right = tuned.filter(({ ownWrong }) => ownWrong === undefined);
  if (!right.length) return [];
  const before = right.reduce((total, each) => total + taken(each), 0);
  const after = right.reduce((total, { uses, bestMs }) => total + uses * bestMs!, 0);
  const faster = right.filter(isFaster).length;
  const plans = `${plural(faster, 'class is', 'classes are')} faster by another plan, ${right.length - faster} best as it was`;
  return [`  ${plans}; all dispatches together ${number(before)} → ${number(after)} ms`];
}

/** A kernel of the compiler's own plan that computes something else: a bug of ditc or of the driver, found by the way. */
export function wrongText({ kernel, own, best, ownWrong }: Tuned): string {
  const then = best ? `${described(best)} takes its place in the table` : 'no other plan is right';
  return `wrong: ${kernel} by the compiler's own plan (${described(own)}): ${ownWrong}; ${then}`;
}

/** What fails `ditc tune`, once all is measured: undefined where every kernel of the compiler's own was right. */
export function wrongError(tuned: readonly Tuned[], model: string): DitcError | undefined {
  const wrong = tuned.filter(({ ownWrong }) => ownWrong !== undefined);
  if (!wrong.length) return undefined;
  const [{ kernel, ownWrong }] = wrong;
  const others = wrong.length > 1 ? `, and ${plural(wrong.length - 1, 'more kernel', 'more kernels')}` : '';
  return new DitcError({
    code: 'kernel-differs',
    what: `${kernel}${others} of the compiler's own plan computes something else than the model says`,
    why: ownWrong,
    fix: `see what it computes with ditc verify ${model}, and report it; builds that use the table take a plan that is right, where there is one`,
  });
}

function lastLine(out: string, done: number, kept: number, total: number, stopped: boolean): string {
  const there = kept ? `, ${plural(kept, 'was', 'were')} there before` : '';
  if (!done && !stopped)
    return `nothing to measure: ${out} has all ${plural(kept, 'class', 'classes')} (--again measures them anew)`;
  if (stopped && !done) return 'stopped before the first kernel was measured: nothing was written';
  const classes = stopped ? `${done} of ${plural(total, 'class', 'classes')}` : plural(done, 'class', 'classes');
  const head = `${stopped ? 'stopped; ' : ''}wrote ${out}  ${classes}${there}`;
  return stopped ? `${head}: the same command goes on` : head;
}
