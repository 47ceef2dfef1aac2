/**
 * Errors of running a model's code, told in terms of the user's files: a DitcError gets the place of the call that was
 * reached, any other exception becomes a DitcError at the place the engine's stack and the source map give.
 */
import { DitcError } from '../ir/index.ts';
import { clearPlace, lastPlace } from './hooks.ts';
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

/** An error without a frame in the user's files is not the user's: it passes through as it is. */
function explain(error: unknown, units: Units): unknown {
  const frames = userFrames(error, units);
  if (!frames.length && error instanceof Error) return error;
  const place = frames.length && !sameLine(lastPlace(), frames[0]) ? frames[0] : lastPlace();
  if (error instanceof DitcError) return withTrail(error.at(place), frames);
  const what = error instanceof Error ? `${error.name}: ${error.message}` : `the model threw ${String(error)}`;
  return withTrail(new DitcError({ code: 'model-crash', where: frames[0] ?? place, what }, { cause: error }), frames);
}

/** The stack finds the line; the call reached, when it is on that line, says which part of it. */
const sameLine = (a: string | undefined, b: string): boolean => lineOf(a) === lineOf(b);
const lineOf = (place: string | undefined) => place?.replace(/:\d+$/, '');

/** `file:line:col` of the stack's frames in the user's files, innermost first. */
function userFrames(error: unknown, units: Units): string[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return [];
  const places: string[] = [];
  for (const line of error.stack.split('\n')) {
    const start = line.indexOf(SCHEME);
    const frame = start < 0 ? null : /^(.+?):(\d+)(?::(\d+))?\)?$/.exec(line.slice(start + SCHEME.length).trim());
    const unit = frame && units.get(frame[1]);
    if (unit) places.push(originalPlace(unit, Number(frame[2]), Number(frame[3] ?? 1)));
  }
  return places;
}

const trails = new WeakMap<DitcError, readonly string[]>();

/** The calls that led to an error, innermost first, without the error's own line. */
export const callTrail = (error: DitcError): readonly string[] => trails.get(error) ?? [];

function withTrail(error: DitcError, frames: readonly string[]): DitcError {
  const own = lineOf(error.where);
  const lines = new Set([own]);
  const trail = frames.filter((place) => !lines.has(lineOf(place)) && lines.add(lineOf(place)));
  trails.set(error, trail.slice(0, MAX_TRAIL));
  return error;
}
