/** The classes to sample, as `--classes` spells them: `1,2,3`, ranges `0-9`, and repetitions `0-9x20` or `7x4`. */
import type { Model } from '../compiler/dsl/model.ts';
import type { InputSpec } from '../compiler/emit/artefact.ts';
import { UsageError } from './errors.ts';

/** More pictures than this in one command is a slip of the keyboard. */
const MOST = 10_000_000;

/** The class of each picture, in order. `0-2x2` is 0,0,1,1,2,2. */
export function parseClasses(text: string): number[] {
  const fix = 'write 1,2,3 or 0-9 or 0-9x20';
  if (!text.trim()) throw new UsageError({ what: '--classes is empty', fix });
  const classes: number[] = [];
  for (const part of text.split(',')) {
    const [, from, to = from, times = '1'] = /^\s*(\d+)(?:-(\d+))?(?:x(\d+))?\s*$/.exec(part) ?? [];
    const fail = (why: string) =>
      new UsageError({
        what: `--classes: ${part.trim() || 'an empty item'} in ${text}`,
        why,
        fix,
      });
    if (from === undefined) throw fail('it is no class, range or repetition');
    const [first, last, count] = [Number(from), Number(to), Number(times)];
    if (last < first) throw fail('the range runs backwards');
    if (!count) throw fail('it is repeated 0 times');
    if (classes.length + (last - first + 1) * count > MOST) throw fail(`at most ${MOST} pictures are made at once`);
    for (let id = first; id <= last; id++) for (let i = 0; i < count; i++) classes.push(id);
  }
  return classes;
}

/** As `--classes` spells them, the shorter the more alike neighbours are: 0x3,5. */
export function writtenClasses(classes: readonly number[]): string {
  const runs: [id: number, count: number][] = [];
  for (const id of classes) {
    const last = runs.at(-1);
    if (last?.[0] === id) last[1]++;
    else runs.push([id, 1]);
  }
  return runs.map(([id, count]) => (count > 1 ? `${id}x${count}` : id)).join();
}

/** How many classes a model has, as far as it tells: by its input of labels, or by its configuration. */
export function classesOf({ config }: Model, labels?: InputSpec): number | undefined {
  const counts = [labels?.classes, config?.numClasses, labels?.range?.[1]];
  const count = counts.find((count) => typeof count === 'number');
  // Without classes, 0 is all there is to ask for.
  return count === 0 ? 1 : count;
}

/** Throws unless the model knows every class. */
export function checkClasses(classes: readonly number[], known: number | undefined, model: string): void {
  if (known === undefined) return;
  const wrong = [...new Set(classes.filter((id) => id >= known))];
  if (!wrong.length) return;
  const shown = wrong.slice(0, 5).join(', ') + (wrong.length > 5 ? ', …' : '');
  throw new UsageError({
    what: `--classes: ${model} has no class ${shown}`,
    why: `it knows ${known} ${known === 1 ? 'class' : 'classes'}`,
    fix: known === 1 ? 'use 0' : `use 0 to ${known - 1}`,
  });
}
