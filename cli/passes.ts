/** Passes as the command line names them. */
import { PASS_GROUPS, type AnyPass } from '../compiler/opt.ts';
import { passesFor, type Pass } from '../compiler/pipeline.ts';
import { nearest } from '../runtime/checkpoint/suggest.ts';
import { UsageError } from './errors.ts';
import { table } from './text.ts';

/** The word for no pass at all. */
const NONE = 'none';

/** The passes of a comma-separated list, in its order, or the pipeline. `more` are known besides the compiler's own. */
export function passesOf(list: string | undefined, more: readonly Pass[] = []): readonly AnyPass[] {
  if (list === undefined) return [...passesFor(), ...more];
  const known = new Map<string, AnyPass>(
    [...PASS_GROUPS.flatMap(({ passes }) => passes), ...more].map((pass) => [pass.name, pass]),
  );
  const names = list.split(',').map((name) => name.trim());
  if (String(names) === NONE) return [];
  for (const name of names) checkPass('--passes', name, [...known.keys(), NONE]);
  return names.map((name) => known.get(name)!);
}

/** @throws UsageError naming the nearest pass there is. */
export function checkPass(option: string, name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  const candidates = known.map((other) => ({ name: other, shape: [] }));
  const likely = nearest({ name, shape: [] }, candidates);
  const all = `use one of ${known.join(', ')}`;
  throw new UsageError({
    what: name ? `${option}: there is no pass ${name}` : `${option}: a name is empty`,
    fix: likely ? `did you mean ${likely}? ${all}` : all,
  });
}

/** The passes with what they do, for scripts. */
export const passList = () =>
  PASS_GROUPS.map(({ title, passes }) => ({ title, passes: passes.map(({ name, doc }) => ({ name, doc })) }));

export function passListText(): string {
  const rows = PASS_GROUPS.flatMap(({ passes }) => passes.map(({ name, doc }) => [`  ${name}`, doc]));
  const lines = table(rows);
  return PASS_GROUPS.map(({ title, passes }) => [`${title}:`, ...lines.splice(0, passes.length)].join('\n')).join(
    '\n\n',
  );
}
