/** Counters: states that say which turn of a loop a run is. What the loop computes before is there for so many turns, no more. */
import type { EntrySpec, ParamSpec } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';
import type { Program } from './program.ts';

/** The states that an entry counts its runs in. */
const countersOf = ({ changes }: EntrySpec, states: readonly ParamSpec[]): ParamSpec[] =>
  states.filter(({ name, count }) => {
    return count !== undefined && changes.some((change) => change.kind === 'state' && change.name === name);
  });

/**
 * Waits for the runs before, where the entry counts them.
 * @throws RuntimeError `out-of-range` when a counter is past its values: the run would take those of another turn.
 */
export async function checkCounters(program: Program, entry: string): Promise<void> {
  for (const { name, count = 0 } of countersOf(program.manifest.entries[entry], program.states)) {
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
