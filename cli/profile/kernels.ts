/** What was measured of an entry, by kernel: time, share, rates, and how much of the device's that is. */
import type { Dispatch, Manifest } from '../../compiler/emit/artefact.ts';
import { describePlan, type Plan } from '../../compiler/plans/registry.ts';
import { modelledSeconds, type Rates } from '../../compiler/report/roofline.ts';
import { spread, type Spread } from '../spread.ts';
import type { EntryTimes } from './measure.ts';

/** A kernel's dispatches of an entry, or one of them. */
export interface KernelTime {
  readonly kernel: string;
  readonly plan: string;
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

/** Slowest first. `all`: a row for each dispatch. */
export function profileOf(times: EntryTimes, manifest: Manifest, rates: Rates, all: boolean): EntryProfile {
  const { entry, method, runs, host } = times;
  const { dispatches } = manifest.entries[entry];
  const medians = times.dispatches.map((ms) => spread(ms).median);
  const kernelsMs = medians.reduce((sum, ms) => sum + ms, 0);
  const groups = new Map<string, number[]>();
  dispatches.forEach(({ kernel }, i) => {
    const key = all ? `${i}` : kernel;
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  const kernels = [...groups.values()].map((list) => {
    const ms = list.reduce((sum, i) => sum + medians[i], 0);
    return kernelTime(
      list.map((i) => dispatches[i]),
      { ms, share: kernelsMs ? ms / kernelsMs : 0 },
      manifest,
      rates,
    );
  });
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

function kernelTime(
  dispatches: readonly Dispatch[],
  { ms, share }: { ms: number; share: number },
  { kernels }: Manifest,
  rates: Rates,
): KernelTime {
  const [{ kernel, source }] = dispatches;
  const sum = (value: (d: Dispatch) => number) => dispatches.reduce((total, d) => total + value(d), 0);
  const [macs, bytes] = [sum((d) => d.macs), sum((d) => d.bytesRead + d.bytesWritten)];
  const modelledMs = 1e3 * sum((d) => modelledSeconds(d, rates));
  return {
    kernel,
    plan: `${String(kernels[kernel].plan.family)}, ${describePlan(kernels[kernel].plan as Plan)}`,
    uses: dispatches.length,
    ms,
    share,
    macs,
    bytes,
    gflops: ms ? (2 * macs) / ms / 1e6 : 0,
    gigabytesPerSecond: ms ? bytes / ms / 1e6 : 0,
    modelledMs,
    ...(!rates.nominal && ms && { ofRoofline: modelledMs / ms }),
    source: source.at(-1),
  };
}
