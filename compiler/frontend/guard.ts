/**
 * Errors of running a model's code, told in terms of the user's files: a DitcError gets the place of the call that was
 * reached, any other exception becomes a DitcError at the place the engine's stack and the source map give.
 */
import { DitcError } from '../ir/index.ts';
import { clearPlace, lastPlace } from './hooks.ts';
import { isPackageModel } from './paths.ts';
import { originalPlace, SCHEME, type Unit } from './unit.ts';

/** Deep enough for a user's frame to show below the DSL's. */
const STACK_FRAMES = 60;
const MAX_TRAIL = 4;

export type Units = ReadonlyMap<string, Unit>;

/** Runs code of these units. */
export function guardUnits<T>(units: Units, run: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_FRAMES;
  clearPlace();
  try {
    return run();
  } catch (error) {
    throw explain(error, units);
  } finally {
    Error.stackTraceLimit = limit;
    clearPlace();
  }
}

/** A user file's frame on the engine's stack. */
interface Frame {
  /** `file:line:col` in the source. */
  readonly place: string;
  readonly file: string;
}

/** An error without a frame in the user's files is not the user's: it passes through as it is. */
function explain(error: unknown, units: Units): unknown {
  const { frames, thrownByUser } = userFrames(error, units);
  if (!frames.length && error instanceof Error) return error;
  if (error instanceof DitcError)
    return withTrail(error.at(thrownByUser ? refusedCall(frames) : reached(frames)), frames);
  const what =
    error instanceof Error ? `${error.name}: ${asWritten(error.message)}` : `the model threw ${String(error)}`;
  const where = frames[0]?.place ?? lastPlace();
  return withTrail(new DitcError({ code: 'model-crash', where, what }, { cause: error }), frames);
}

/** The engine's words without the calls that instrumentation put around the user's. */
const asWritten = (message: string): string =>
  message.replace(/__ditc_\w+\(\.\.\.\)\./g, '').replace(/__ditc_\w+(\(\.\.\.\))?/g, 'the value');

/** The stack finds the line; the call reached, when it is on that line, says which part of it. */
function reached(frames: readonly Frame[]): string | undefined {
  const last = lastPlace();
  return frames.length && lineOf(last) !== lineOf(frames[0].place) ? frames[0].place : last;
}

/** Code that throws a DitcError refuses what it was given. This package's models point at whoever called them. */
function refusedCall(frames: readonly Frame[]): string {
  return (frames.find((frame) => !isPackageModel(frame.file)) ?? frames[frames.length - 1]).place;
}

const lineOf = (place: string | undefined) => place?.replace(/:\d+$/, '');

/** The stack's frames in the user's files, innermost first, and whether the error was made there. */
function userFrames(error: unknown, units: Units): { frames: Frame[]; thrownByUser: boolean } {
  const frames: Frame[] = [];
  let first: string | undefined;
  for (const line of error instanceof Error ? String(error.stack).split('\n') : []) {
    if (/^\s+at /.test(line)) first ??= line;
    const start = line.indexOf(SCHEME);
    const frame = start < 0 ? null : /^(.+?):(\d+)(?::(\d+))?\)?$/.exec(line.slice(start + SCHEME.length).trim());
    const unit = frame && units.get(frame[1]);
    if (unit) frames.push({ file: unit.file, place: originalPlace(unit, Number(frame[2]), Number(frame[3] ?? 1)) });
  }
  return { frames, thrownByUser: first !== undefined && first.includes(SCHEME) };
}

const trails = new WeakMap<DitcError, readonly string[]>();

/** The calls that led to an error, innermost first, without the error's own line. */
export const callTrail = (error: DitcError): readonly string[] => trails.get(error) ?? [];

function withTrail(error: DitcError, frames: readonly Frame[]): DitcError {
  const places = frames.map((frame) => frame.place);
  const own = places.findIndex((place) => lineOf(place) === lineOf(error.where));
  const lines = new Set([lineOf(error.where)]);
  const callers = places.slice(own + 1).filter((place) => !lines.has(lineOf(place)) && lines.add(lineOf(place)));
  trails.set(error, callers.slice(0, MAX_TRAIL));
  return error;
}
