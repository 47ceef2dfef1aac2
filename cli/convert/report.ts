/** What became of each tensor: in full for scripts, those of one kind together for people. */
import type { Action, Change, Conversion } from '../../runtime/checkpoint/convert.ts';
import { patternOf } from '../../runtime/checkpoint/match.ts';
import { grouped, plural, table } from '../text.ts';

export const reportJson = ({ changes, casts, notes }: Conversion) => ({ changes, casts, notes });

/** In the order in which they are told; what is kept is counted only. */
const ACTIONS: readonly Action[] = [
  'renamed',
  'split',
  'joined',
  'copied',
  'folded',
  'computed',
  'left out',
  'extra',
  'unread',
];

/** Why a tensor has no counterpart. */
const REASONS: Partial<Record<Action, string>> = {
  computed: 'missing: what the model computes is written',
  'left out': 'the layout has no place for it',
  extra: 'the model does not use it',
  unread: 'its type is not read',
};

export function reportLines({ changes, casts }: Conversion): string[] {
  const rows = ACTIONS.flatMap((action) => {
    const groups = groupBy(
      changes.filter((change) => change.action === action),
      keyOf,
    );
    return [...groups.values()].map((group) => [action, lineOf(group), timesOf(group.length)]);
  });
  for (const [types, group] of groupBy(casts, ({ from, to }) => `${from} → ${to}`))
    rows.push(['cast', `${plural(group.length, 'tensor')} ${types}`, '']);
  const kept = changes.filter(({ action }) => action === 'kept').length;
  if (kept) rows.push(['kept', `${plural(kept, 'tensor')} as ${kept === 1 ? 'it is' : 'they are'}`, '']);
  return table(rows);
}

const timesOf = (count: number): string => (count > 1 ? `×${grouped(count)}` : '');

/** The prefix that was taken off, where that is all. */
const prefixOf = ({ from, to }: Change): string | undefined =>
  from.length === 1 && to.length === 1 && from[0] !== to[0] && from[0].endsWith(to[0])
    ? from[0].slice(0, -to[0].length)
    : undefined;

/** Equal for what can be told in one line: blocks of one stack, and the weight and bias of a layer. */
function keyOf(change: Change): string {
  const kinds = (names: readonly string[]) =>
    [...new Set(names.map((name) => patternOf(name).replace(/\.(weight|bias)$/, '')))].join();
  return prefixOf(change) ?? `${kinds(change.from)} → ${kinds(change.to)}`;
}

function lineOf(group: readonly Change[]): string {
  const prefix = prefixOf(group[0]);
  if (prefix !== undefined && group.length > 1) return `${prefix}* → *`;
  const sides = [group.flatMap(({ from }) => from), group.flatMap(({ to }) => to)].map(shown);
  const reason = REASONS[group[0].action];
  return sides.filter(Boolean).join(' → ') + (reason ? `  (${reason})` : '');
}

/** As many words as a brace holds. */
const SHOWN = 3;

/** Names as one where they are alike: `*` for numbers, `{a,b}` for words that they differ in. */
function shown(names: readonly string[]): string {
  const lengths = groupBy(new Set(names), (name) => name.split('.').length);
  return [...lengths.values()].map((alike) => joined(alike.map((name) => name.split('.')))).join(', ');
}

function joined(names: readonly (readonly string[])[]): string {
  const words = names[0].map((_, at) => [...new Set(names.map((name) => name[at]))]);
  return words.map((choices) => wordOf(choices)).join('.');
}

function wordOf(choices: readonly string[]): string {
  if (choices.length === 1) return choices[0];
  if (choices.every((word) => /^\d+$/.test(word))) return '*';
  return `{${choices.slice(0, SHOWN).join(',')}${choices.length > SHOWN ? ',…' : ''}}`;
}

function groupBy<T>(items: Iterable<T>, keyOf: (item: T) => string | number): Map<string | number, T[]> {
  const groups = new Map<string | number, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
