/** How long dispatches take: by the device's timestamps where it has them, else by the wall clock. */
import { encodeSteps, type Replay, type Step } from './replay.ts';
import { download } from './transfer.ts';

/** A stretch of time. */
export type Span = readonly [from: number, to: number];

/** A run that was measured: in milliseconds of `performance.now()`; dispatches in nanoseconds of the device's own clock. */
export interface RunTimes {
  readonly encode: Span;
  readonly submit: Span;
  /** When the host heard that all was done. */
  readonly done: number;
  readonly dispatches: readonly Span[];
}

/** WebGPU's limit on the queries of a set; a pass takes two. */
const MAX_QUERIES = 4096;

export const hasTimestamps = (device: GPUDevice): boolean => device.features.has('timestamp-query');

/** Runs passes of steps, and copies, in one submit with a timestamp at both ends of each pass. */
export async function timePasses(
  device: GPUDevice,
  passes: readonly (readonly Step[])[],
  copies: Replay['copies'] = [],
): Promise<RunTimes> {
  const total = passes.length * 2;
  const sets: GPUQuerySet[] = [];
  for (let at = 0; at < total; at += MAX_QUERIES)
    sets.push(device.createQuerySet({ type: 'timestamp', count: Math.min(MAX_QUERIES, total - at) }));
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = device.createBuffer({ size: Math.max(8, total * 8), usage });
  try {
    const began = performance.now();
    const encoder = device.createCommandEncoder();
    passes.forEach((steps, i) => {
      const [querySet, first] = [sets[Math.floor((2 * i) / MAX_QUERIES)], (2 * i) % MAX_QUERIES];
      const writes = { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
      const pass = encoder.beginComputePass({ timestampWrites: writes });
      encodeSteps(pass, steps);
      pass.end();
    });
    for (const copy of copies) encoder.copyBufferToBuffer(...copy);
    sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, set.count, resolved, i * MAX_QUERIES * 8));
    const commands = encoder.finish();
    const encoded = performance.now();
    device.queue.submit([commands]);
    const submitted = performance.now();
    await device.queue.onSubmittedWorkDone();
    const done = performance.now();
    const times = new BigUint64Array((await download(device, resolved, 0, total * 8)).buffer as ArrayBuffer);
    return { encode: [began, encoded], submit: [encoded, submitted], done, dispatches: spansOf(times) };
  } finally {
    resolved.destroy();
    for (const set of sets) set.destroy();
  }
}

/** Beginnings and ends, from the first on. Some drivers' clocks step back now and then: nothing ends before it begins. */
function spansOf(times: BigUint64Array): Span[] {
  const origin = times.reduce((least, time) => (time < least ? time : least), times[0] ?? 0n);
  return Array.from({ length: times.length / 2 }, (_, i) => {
    const from = Number(times[2 * i] - origin);
    return [from, Math.max(from, Number(times[2 * i + 1] - origin))];
  });
}

/** A step, and how often in a row it is run. */
export type Repeated = readonly [step: Step, times: number];

/**
 * Nanoseconds of one run of each step, one after the other. By the wall clock, waiting for the device counts too: have each run
 * many times.
 */
export async function timeSteps(device: GPUDevice, repeated: readonly Repeated[]): Promise<number[]> {
  const passes = repeated.map(([step, times]) => Array.from({ length: times }, () => step));
  if (hasTimestamps(device)) {
    const { dispatches } = await timePasses(device, passes);
    return dispatches.map(([from, to], i) => (to - from) / passes[i].length);
  }
  const all: number[] = [];
  for (const steps of passes) all.push(((await timeBySubmit(device, steps)) * 1e6) / steps.length);
  return all;
}

/** Milliseconds from the submit of steps to the news of their end. */
async function timeBySubmit(device: GPUDevice, steps: readonly Step[]): Promise<number> {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encodeSteps(pass, steps);
  pass.end();
  const commands = encoder.finish();
  const began = performance.now();
  device.queue.submit([commands]);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - began;
}
