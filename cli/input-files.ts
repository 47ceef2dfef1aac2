/** `--input NAME=FILE` of commands on pictures: which files there have to be. */
import type { InputSpec } from '../compiler/emit/artefact.ts';
import { UsageError } from './errors.ts';

/** Throws unless there is a file for each input, and for nothing else. `wanted` are those of which each of `count` pictures has a row. */
export function checkInputFiles(
  wanted: readonly Pick<InputSpec, 'name' | 'shape'>[],
  files: ReadonlyMap<string, string>,
  count: number | 'N',
): void {
  const list = wanted
    .map(({ name, shape }) => `${name}=FILE with [${[count, ...shape.slice(1)].join(', ')}]`)
    .join(' and --input ');
  const unknown = [...files.keys()].find((name) => !wanted.some((input) => input.name === name));
  if (unknown !== undefined) {
    const why = wanted.length ? undefined : 'it is told the class alone';
    throw new UsageError({
      what: `--input: the model has no input ${unknown} of pictures`,
      why,
      fix: list ? `give --input ${list}` : 'leave it out',
    });
  }
  const missing = wanted.filter(({ name }) => !files.has(name)).map(({ name }) => name);
  if (missing.length)
    throw new UsageError({
      what: `the model is also told ${missing.join(' and ')}`,
      why: 'nothing is given',
      fix: `give --input ${list}`,
    });
}
