/** `ditc inspect --why-not A B`: the answer, and how it is told. */
import { join } from 'node:path';
import type { CompilationRecord, EntryRecord, RemarkRecord } from '../compiler/report/record.ts';
import { knownNames, type Candidate } from '../compiler/report/resolve.ts';
import { rulesOn, whyNot, type Answer, type Boundary } from '../compiler/report/why-not.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { readBuilt } from '../runtime/node/artefact.ts';
import type { Signed } from '../runtime/manifest.ts';
import { UsageError } from './errors.ts';
import { nearestName } from '../runtime/checkpoint/suggest.ts';
import { table, wrap } from './text.ts';
import type { Colors } from './terminal.ts';

/** remarks.json of an artefact folder, as the build wrote it. */
export async function readRecord(folder: string, manifest: Signed): Promise<CompilationRecord> {
  const text = await readBuilt(folder, manifest, 'remarks.json');
  const { format, entries } = JSON.parse(text) as { format: number; entries: CompilationRecord };
  if (format === 1) return entries;
  const fix = 'build the model again, or give the model file instead of the folder';
  const where = join(folder, 'remarks.json');
  throw new DitcError({ code: 'unsupported', where, what: `the remarks have format ${format}`, fix });
}

export interface Told {
  readonly entry: string;
  readonly answer: Answer;
  readonly rules: readonly RemarkRecord[];
}

/** The answer from the first entry that knows both names. Throws when none does, or a name is ambiguous. */
export function ask(records: CompilationRecord, [a, b]: readonly [string, string]): Told {
  const answers = Object.entries(records).map(([entry, record]) => ({ entry, record, answer: whyNot(record, a, b) }));
  const best =
    answers.find(({ answer }) => answer.kind !== 'unknown' && answer.kind !== 'gone') ??
    answers.find(({ answer }) => answer.kind === 'gone') ??
    answers[0];
  const { entry, record, answer } = best;
  if (answer.kind === 'unknown') throw unknown(answer.query, records);
  if (answer.kind === 'ambiguous') throw ambiguous(answer.query, answer.candidates, record);
  return { entry, answer, rules: 'a' in answer ? rulesOn(record, answer.a, answer.b) : [] };
}

function unknown(query: string, records: CompilationRecord): UsageError {
  const names = [...new Set(Object.values(records).flatMap(knownNames))];
  const near = nearestName(query, names);
  return new UsageError({
    what: `--why-not: nothing is called ${query}`,
    fix: `${near ? `did you mean ${near}? ` : ''}give a variable, a parameter, an op, a kernel, or a name of graph.ir`,
  });
}

function ambiguous(query: string, candidates: readonly Candidate[], record: EntryRecord): UsageError {
  const lines = new Map<string, Candidate[]>();
  for (const c of candidates) {
    const line = c.at?.replace(/:\d+$/, '') ?? c.op;
    lines.set(line, [...(lines.get(line) ?? []), c]);
  }
  const kernelsOf = (list: readonly Candidate[]) =>
    [...new Set(list.flatMap((c) => c.computedBy.map((i) => record.dispatches[i].kernel)))].join(', ');
  const rows = [...lines].map(([line, list]) => [
    list[0].at ? `${query}:${line.split(':').at(-1)}` : list[0].value,
    list[0].at ? line : 'in memory',
    list.length > 1 ? `×${list.length}` : '',
    list[0].computedBy.length ? `in ${kernelsOf(list)}` : '',
  ]);
  return new UsageError({
    what: `--why-not: several values are called ${query}`,
    why: table(rows).join('\n'),
    fix: `say which, as ${rows.map(([name]) => name).join(' or ')}`,
  });
}

/** Widest line of the answer. */
const WIDTH = 100;

export function answerText({ entry, answer, rules }: Told, record: EntryRecord, colors: Colors): string {
  const kernelOf = (i: number) => record.dispatches[i].kernel;
  if (answer.kind === 'gone') {
    const { by, why, values } = answer.rule;
    const [, place] = values[0].split(' @ ');
    const kernels = new Set(
      record.dispatches.flatMap(({ kernel, from }) => (comesFrom(record, from, place) ? kernel : [])),
    );
    const title = `${answer.query} is not computed: ${by} does without it`;
    const instead = `what ${place} gives is computed by ${[...kernels].join(', ')}`;
    return [`${colors.bold(title)}  ${colors.dim(`@${entry}`)}`, `  ${why}`, `  ${instead}`].join('\n');
  }
  if (answer.kind === 'ambiguous' || answer.kind === 'unknown') throw new Error('told by ask');
  const { a, b } = answer;
  const about = table([a, b].map((c) => [label(c), c.at ?? '', whereabouts(c, record)])).map((line) => `  ${line}`);
  const title = colors.bold(heading(answer, kernelOf));
  const reasons =
    answer.kind === 'apart'
      ? pathText(answer.path, kernelOf, colors)
      : answer.kind === 'unrelated'
        ? answer.paths.flatMap((path) => pathText(path, kernelOf, colors))
        : answer.kind === 'stored'
          ? [`  ${storedText(answer.which, record)}`]
          : [];
  const ruled = [...count(rules.map(ruleText))].map(([text, n]) => `${text}${n > 1 ? `  (${n} times)` : ''}`);
  const ruleLines = ruled.length
    ? ['', ...ruled.flatMap((text) => wrap(text, WIDTH - 4).map((line) => `  ${line}`))]
    : [];
  return [`${title}  ${colors.dim(`@${entry}`)}`, ...about, '', ...reasons, ...ruleLines].join('\n').trimEnd();
}

function heading(answer: Exclude<Answer, { kind: 'gone' | 'ambiguous' | 'unknown' }>, kernelOf: (i: number) => string) {
  const [a, b] = [label(answer.a), label(answer.b)];
  switch (answer.kind) {
    case 'together':
      return `${a} and ${b} are in one kernel: ${kernelOf(answer.dispatch)}`;
    case 'stored':
      return `${label(answer.which)} is computed by no kernel`;
    case 'apart':
      return `${a} and ${b} are ${answer.path.length > 1 ? `${answer.path.length} kernels` : 'a kernel'} apart`;
    case 'unrelated':
      return answer.meet === undefined
        ? `${a} and ${b} have nothing to do with each other: no kernel depends on both`
        : `neither of ${a} and ${b} is computed from the other: each has a kernel of its own. They meet in ${kernelOf(answer.meet)}`;
  }
}

/** Numbers are names that only graph.ir knows. */
const label = ({ value, op }: Candidate): string => (/^%\d/.test(value) ? `${op} ${value}` : value.slice(1));

function whereabouts({ computedBy, readBy }: Candidate, { dispatches }: EntryRecord): string {
  const shown = (list: readonly number[]) => {
    const [first] = list;
    const more = list.length > 1 ? ` and ${list.length - 1} more` : '';
    return `kernel ${dispatches[first].kernel}, dispatch ${first + 1} of ${dispatches.length}${more}`;
  };
  return computedBy.length ? shown(computedBy) : `in memory, read by ${shown(readBy)}`;
}

function storedText({ readBy }: Candidate, { dispatches }: EntryRecord): string {
  const kernels = [...new Set(readBy.map((i) => dispatches[i].kernel))].join(', ');
  return `it is in memory when the entry starts, or a stretch of another value's memory; it is read by ${kernels}`;
}

function pathText(path: readonly Boundary[], kernelOf: (i: number) => string, colors: Colors): string[] {
  return path.flatMap(({ value, from, to, reasons }) => {
    const head = `  ${colors.cyan(kernelOf(from))} → ${colors.cyan(kernelOf(to))}  ${colors.dim(`through ${value}`)}`;
    const texts = reasons.map(({ by, why }) => `${by}: ${why}`);
    const told = texts.length ? texts : ['no pass has made a remark on it'];
    return [head, ...told.flatMap((text) => wrap(text, WIDTH - 4).map((line) => `    ${line}`))];
  });
}

const comesFrom = ({ origins }: EntryRecord, from: readonly number[], place: string): boolean =>
  from.some((i) => origins[i].at === place);

const ruleText = ({ by, kind, why }: RemarkRecord): string =>
  kind === 'applied' ? `${by} fired: ${why}` : `${by} did not fire: ${why}`;

function count(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}
