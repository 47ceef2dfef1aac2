/**
 * A profile as Chrome's trace format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: a lane each for the
 * compilation of kernels, uploads, encoding, submits and the GPU. Of a loop it has one turn.
 */
import type { Manifest } from '../../compiler/emit/artefact.ts';
import type { RunTimes, Span } from '../../runtime/timing.ts';
import type { EntryTimes, Method, PartTimes } from './measure.ts';

/** The lanes, from the top. */
const LANES = ['CPU: kernels compile', 'upload', 'CPU: encode', 'CPU: submit', 'GPU'] as const;
type Lane = (typeof LANES)[number];

interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** What took place before anything ran: milliseconds of performance.now(). */
export interface Preparation {
  readonly kernels: { readonly count: number; readonly span: Span };
  readonly weights: readonly { readonly name: string; readonly span: Span }[];
}

const PID = 1;

export function traceOf(manifest: Manifest, prepared: Preparation, entries: readonly EntryTimes[]) {
  const events: TraceEvent[] = [];
  const first = Math.min(prepared.kernels.span[0], ...prepared.weights.map(({ span }) => span[0]));
  const add = (lane: Lane, name: string, [from, to]: Span, args?: TraceEvent['args']) =>
    events.push({
      name,
      ph: 'X',
      pid: PID,
      tid: LANES.indexOf(lane) + 1,
      ts: 1e3 * (from - first),
      dur: 1e3 * (to - from),
      ...(args && { args }),
    });
  add('CPU: kernels compile', `${prepared.kernels.count} kernels`, prepared.kernels.span);
  for (const { name, span } of prepared.weights) add('upload', name, span);
  const addPart = ({ entry, times, last }: PartTimes, method: Method) => {
    if (method === 'timestamps') {
      add('CPU: encode', entry, last.encode);
      add('CPU: submit', entry, last.submit);
    }
    const shift = onHost(last, method);
    last.dispatches.forEach((span, i) => {
      const { kernel, value, macs, bytesRead, bytesWritten, source } = manifest.entries[entry].dispatches[i];
      add('GPU', kernel, span.map((ns) => shift + ns / 1e6) as unknown as Span, {
        entry,
        dispatch: i,
        ...(times > 1 && { turns: times }),
        value,
        macs,
        bytes: bytesRead + bytesWritten,
        source: source.at(-1),
      });
    });
  };
  for (const times of entries) {
    const { entry, uploads, method } = times;
    add('upload', `inputs of ${entry}`, uploads);
    for (const part of times.parts) addPart(part, method);
  }
  const names = LANES.map((name, i): TraceEvent => {
    return { name: 'thread_name', ph: 'M', pid: PID, tid: i + 1, args: { name } };
  });
  const process: TraceEvent = {
    name: 'process_name',
    ph: 'M',
    pid: PID,
    tid: 0,
    args: { name: `ditc ${manifest.model}` },
  };
  const otherData = {
    device: manifest.device,
    clocks: 'the GPU counts by a clock of its own, laid to begin with the submit',
  };
  return { traceEvents: [process, ...names, ...events], displayTimeUnit: 'ms', otherData };
}

/** When the GPU's clock began, by the host's: with the end of the submit, or before, where it was done earlier than that allows. */
function onHost({ submit, done, dispatches }: RunTimes, method: Method): number {
  if (method === 'submits') return submit[0];
  const length = Math.max(0, ...dispatches.map(([, to]) => to / 1e6));
  return Math.max(submit[0], Math.min(submit[1], done - length));
}
