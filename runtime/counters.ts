/** Counters: states that say which turn of a loop a run is. What the loop computes before is there for so many turns, no more. */
import type { ParamSpec } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';
import type { Program } from './program.ts';

/** The states that an entry counts its runs in. What begins a loop sets its counter, whatever that was, and counts nothing. */
function countersOf({ manifest, states }: Program, entry: string): ParamSpec[] {
  const entries = Object.values(manifest.entries);
  const begins = (name: string) => entries.some(({ startedBy }) => startedBy?.[name]?.includes(entry));
  const changes = (name: string) =>
    manifest.entries[entry].changes.some((change) => change.kind === 'state' && change.name === name && !change.anew);
  return states.filter(({ name, count }) => count !== undefined && changes(name) && !begins(name));
}

/**
 * Waits for the runs before, where the entry counts them.
 * @throws RuntimeError `out-of-range` when a counter is past its values: the run would take those of another turn.
 */
export async function checkCounters(program: Program, entry: string): Promise<void> {
  for (const { name, count = 0 } of countersOf(program, entry)) {
    const [value] = await program.readState(name);
    if (value >= 0 && value < count) continue;
    throw new RuntimeError({
      code: 'out-of-range',
      what: `${entry} cannot be run: its counter ${name} is ${value}`,
      why: `it is built for ${count} runs, in which ${name} is 0 to ${count - 1}`,
      fix: `run it ${count} times at most, or set ${name} back before (the entry that starts the loop does)`,
    });
  }
}
