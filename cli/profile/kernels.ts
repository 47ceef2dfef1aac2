/** What was measured of an entry, by kernel: time, share, rates, and how much of the device's that is. */
import type { Dispatch, Manifest } from '../../compiler/emit/artefact.ts';
import { describePlan, type Plan } from '../../compiler/plans/registry.ts';
import { modelledSeconds, type Rates } from '../../compiler/report/roofline.ts';
import { spread, type Spread } from '../spread.ts';
import type { EntryTimes } from './measure.ts';

/** A kernel's dispatches of an entry and its loops, or one of them. */
export interface KernelTime {
  readonly kernel: string;
  readonly plan: string;
  /** Dispatches in a run, those of a loop in each turn. */
  readonly uses: number;
  /** All of its dispatches together: medians, summed. */
  readonly ms: number;
  /** Of all kernels of the entry. */
  readonly share: number;
  readonly macs: number;
  readonly bytes: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** The time that the device's rates allow, by the cost model of plans. */
  readonly modelledMs: number;
  /** `modelledMs` of `ms`; undefined where the device's rates are not known. */
  readonly ofRoofline?: number;
  /** Place of its last op in the model. */
  readonly source?: string;
}

export interface EntryProfile {
  readonly entry: string;
  readonly method: EntryTimes['method'];
  readonly rounds: number;
  /** A run that nothing measures, from its submit to its end. */
  readonly run: Spread;
  /** The CPU's part of it: encoding and submit. */
  readonly hostMs: number;
  /** All kernels together. */
  readonly kernelsMs: number;
  /** Measuring made the kernels take longer than a run without it takes as a whole. */
  readonly perturbed: boolean;
  readonly kernels: readonly KernelTime[];
}

/** The kernels may take so much of a run together, and be as they are in it. */
const PERTURBED = 1.05;

/** A dispatch of an entry or of its parts: how often a run has it, and the milliseconds of all these times. */
interface Timed {
  readonly dispatch: Dispatch;
  readonly times: number;
  readonly ms: number;
}

/** Slowest first. `all`: a row for each dispatch. */
export function profileOf(times: EntryTimes, manifest: Manifest, rates: Rates, all: boolean): EntryProfile {
  const { entry, method, runs, host } = times;
  const timed = times.parts.flatMap((part) =>
    manifest.entries[part.entry].dispatches.map((dispatch, i): Timed => {
      return { dispatch, times: part.times, ms: part.times * spread(part.dispatches[i]).median };
    }),
  );
  const kernelsMs = timed.reduce((sum, { ms }) => sum + ms, 0);
  const groups = new Map<string, Timed[]>();
  timed.forEach((one, i) => {
    const key = all ? `${i}` : one.dispatch.kernel;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  });
  const kernels = [...groups.values()].map((list) => kernelTime(list, kernelsMs, manifest, rates));
  const run = spread(runs);
  return {
    entry,
    method,
    rounds: runs.length,
    run,
    hostMs: spread(host).median,
    kernelsMs,
    perturbed: kernelsMs > PERTURBED * run.median,
    kernels: kernels.sort((a, b) => b.ms - a.ms),
  };
}

function kernelTime(timed: readonly Timed[], kernelsMs: number, { kernels }: Manifest, rates: Rates): KernelTime {
  const { kernel, source } = timed[0].dispatch;
  const sum = (value: (d: Dispatch) => number) =>
    timed.reduce((total, { dispatch, times }) => total + times * value(dispatch), 0);
  const ms = timed.reduce((total, one) => total + one.ms, 0);
  const [macs, bytes] = [sum((d) => d.macs), sum((d) => d.bytesRead + d.bytesWritten)];
  const modelledMs = 1e3 * sum((d) => modelledSeconds(d, rates));
  return {
    kernel,
    plan: `${String(kernels[kernel].plan.family)}, ${describePlan(kernels[kernel].plan as Plan)}`,
    uses: sum(() => 1),
    ms,
    share: kernelsMs ? ms / kernelsMs : 0,
    macs,
    bytes,
    gflops: ms ? (2 * macs) / ms / 1e6 : 0,
    gigabytesPerSecond: ms ? bytes / ms / 1e6 : 0,
    modelledMs,
    ...(!rates.nominal && ms && { ofRoofline: modelledMs / ms }),
    source: source.at(-1),
  };
}
