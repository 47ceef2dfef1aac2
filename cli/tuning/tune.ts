/** The whole of `ditc tune` over compiled entries: each class of kernels once, each of its plans checked, then raced. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { EntryInput } from '../../compiler/emit/build.ts';
import { shapeClass } from '../../compiler/emit/shape-class.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { candidatesFor, type Plan } from '../../compiler/plans/registry.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { Program } from '../../runtime/program.ts';
import type { Step } from '../../runtime/replay.ts';
import type { Stepper } from '../../runtime/stepper.ts';
import { begin } from '../profile/open.ts';
import type { Job } from '../verify/check.ts';
import { race, type Sample } from './race.ts';
import { Trial, type Judge } from './trial.ts';

/** A class, with the dispatch that stands for it. */
export interface TuningJob extends Job {
  readonly kind: string;
  readonly plan: Plan;
  /** Dispatches of the class, in all entries. */
  readonly uses: number;
}

/** A plan that did not take part, and why. */
export interface Rejected {
  readonly plan: Plan;
  readonly why: string;
}

export interface Tuned {
  readonly kind: string;
  readonly kernel: string;
  readonly uses: number;
  /** The compiler's own plan, and the one that won: none where no plan computes what it should. */
  readonly own: Plan;
  readonly best?: Plan;
  /** Median milliseconds of a dispatch by either; what computes something else is not timed. */
  readonly ownMs?: number;
  readonly bestMs?: number;
  /** Why the compiler's own plan is not right. */
  readonly ownWrong?: string;
  /** Plans that were timed. */
  readonly tried: number;
  readonly rejected: readonly Rejected[];
  readonly judge: Judge;
}

export interface TuneResult {
  readonly out: string;
  readonly tuned: readonly Tuned[];
  /** Classes that the table had already, or has of others. */
  readonly kept: number;
  /** Classes there were to measure, those that an end came before too. */
  readonly total: number;
  readonly stopped: boolean;
}

export interface TuneOptions {
  readonly device: DeviceSpec;
  readonly stop: AbortSignal;
  readonly seed?: number;
  /** Told before each class, with how many plans it has. */
  onClass(kernel: string, plans: number): void;
  /** Told of each class as soon as it is decided. */
  onTuned(tuned: Tuned): Promise<void>;
}

/** A dispatch for each class that is not among those `known`, and has more than one plan. Of equals the one with most work. */
export function jobsFor(
  artefact: Artefact,
  entries: readonly EntryInput[],
  device: DeviceSpec,
  known: (kind: string) => boolean,
): TuningJob[] {
  const jobs = new Map<string, TuningJob>();
  for (const { name, regions } of entries) {
    artefact.manifest.entries[name].dispatches.forEach((dispatch, index) => {
      const { region, plan } = regions[index];
      const kind = shapeClass(region, device);
      if (known(kind)) return;
      const before = jobs.get(kind);
      const uses = (before?.uses ?? 0) + 1;
      const isLarger = !before || work(dispatch) > work(before.dispatch);
      const job = isLarger ? { kind, entry: name, index, dispatch, region, plan } : before;
      jobs.set(kind, { ...job, uses });
    });
  }
  return [...jobs.values()].filter(({ region, plan }) => candidatesFor(region, device, plan).length > 1);
}

const work = ({ macs, bytesRead, bytesWritten }: Job['dispatch']): number => macs + bytesRead + bytesWritten;

/** Runs each entry up to its jobs, in order. The program has its weights. */
export async function tuneEntries(program: Program, jobs: readonly TuningJob[], options: TuneOptions): Promise<void> {
  const { stop, seed = 0, onClass, onTuned, device } = options;
  for (const entry of program.entries) {
    const own = jobs.filter((job) => job.entry === entry).sort((a, b) => a.index - b.index);
    if (!own.length) continue;
    await begin(program, entry, seed);
    await program.prepare(entry);
    const stepper = program.stepper(entry);
    let next = 0;
    for (const job of own) {
      stepper.run(next, job.index);
      await program.sync();
      const plans = candidatesFor(job.region, device, job.plan);
      onClass(job.dispatch.kernel, plans.length);
      const tuned = await tuneOne(stepper, job, plans, options);
      // What was broken off in the middle says nothing.
      if (stop.aborted) return;
      await onTuned(tuned);
      next = job.index + 1;
    }
  }
}

async function tuneOne(
  stepper: Stepper,
  job: TuningJob,
  [own, ...others]: readonly Plan[],
  { device, stop }: TuneOptions,
): Promise<Tuned> {
  const trial = await Trial.of(stepper, job, device);
  const rejected: Rejected[] = [];
  const runners: { plan: Plan; step: Step }[] = [];
  const ownWrong = await trial.wrong(trial.own);
  if (ownWrong === undefined) runners.push({ plan: own, step: trial.own });
  else rejected.push({ plan: own, why: ownWrong });
  // Drivers compile side by side.
  const steps = await Promise.allSettled(others.map((plan) => trial.stepFor(plan)));
  for (const [i, made] of steps.entries()) {
    if (stop.aborted) break;
    const why = made.status === 'rejected' ? unable(made.reason) : await trial.wrong(made.value);
    if (why !== undefined) rejected.push({ plan: others[i], why });
    else if (made.status === 'fulfilled') runners.push({ plan: others[i], step: made.value });
  }
  const timed = await timedBest(trial, runners, stop);
  await trial.end();
  const { kind, dispatch, uses } = job;
  return {
    kind,
    kernel: dispatch.kernel,
    uses,
    own,
    best: timed && runners[timed.winner].plan,
    ownMs: ownWrong === undefined ? timed!.ms[0] : undefined,
    bestMs: timed?.ms[timed.winner],
    ownWrong,
    tried: runners.length,
    rejected,
    judge: trial.judge,
  };
}

/** Which of those that are right is fastest, and what each takes; undefined where none is. */
async function timedBest(
  trial: Trial,
  runners: readonly { readonly step: Step }[],
  stop: AbortSignal,
): Promise<{ winner: number; ms: number[] } | undefined> {
  if (!runners.length) return undefined;
  const sample: Sample = (turns) => trial.time(turns.map(({ at, times }) => [runners[at].step, times]));
  const { winner, medians } = await race(runners.length, sample, { stop });
  return { winner, ms: medians.map((ns) => ns / 1e6) };
}

/** A kernel that does not compile is out; a device that is lost ends all. */
function unable(reason: unknown): string {
  if (reason instanceof RuntimeError && reason.code === 'bad-kernel') return reason.why ?? reason.what;
  throw reason;
}
