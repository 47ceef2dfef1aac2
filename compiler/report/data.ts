/** What the report shows, as plain data that JSON can hold: the page's script draws it and computes nothing of its own. */
import { nameNodes, nodesOf, type Node } from '../ir/index.ts';
import type { Artefact, Dispatch, EntrySpec } from '../emit/artefact.ts';
import type { EntryInput } from '../emit/build.ts';
import { describePlan, type Plan } from '../plans/registry.ts';
import { operandsOf } from '../fusion/regions.ts';
import { buffersOf, storedIn } from '../fusion/windows.ts';
import { Painter, type Picture } from './pictures.ts';
import type { CompilationRecord, EntryRecord } from './record.ts';
import { modelledSeconds, type Rates } from './roofline.ts';

export interface ReportInput {
  readonly artefact: Artefact;
  readonly entries: readonly EntryInput[];
  readonly records: CompilationRecord;
  readonly rates: Rates;
  /** What each pass does, by name. */
  readonly passDocs: Readonly<Record<string, string>>;
  /** Text of the model's files, by the names that places use. */
  readonly sources: Readonly<Record<string, string>>;
}

export interface ReportKernel {
  readonly name: string;
  readonly family: string;
  readonly plan: string;
  readonly bindings: number;
  readonly wgsl: string;
}

/** All dispatches of one kernel in a run of an entry, those of its loops in each turn. */
export interface CostRow {
  readonly kernel: string;
  /** The entry that shows it: itself, or a part of it. */
  readonly entry: string;
  readonly uses: number;
  readonly type: string;
  readonly ops: string;
  readonly macs: number;
  readonly bytes: number;
  /** Operations per byte of memory traffic. */
  readonly intensity: number;
  /** Of the entry's modelled time. */
  readonly share: number;
  readonly at: readonly string[];
}

export interface MemoryBlock {
  readonly name: string;
  readonly arena: number;
  readonly offset: number;
  readonly size: number;
  readonly from: number;
  readonly to: number;
  readonly readBy: readonly number[];
}

export interface ReportEntry {
  readonly dispatches: readonly {
    readonly kernel: string;
    readonly value: string;
    readonly notes: readonly string[];
  }[];
  /** What runs before its own dispatches, so many times each in a row: the bodies of its loops, and what they begin with. */
  readonly parts: NonNullable<EntrySpec['parts']>;
  readonly kernels: Picture;
  readonly ops: Picture;
  readonly costs: readonly CostRow[];
  readonly macs: number;
  readonly opCount: readonly [before: number, after: number];
  readonly memory: {
    readonly arenas: readonly number[];
    readonly peak: number;
    readonly bound: number;
    readonly weights: number;
    readonly blocks: readonly MemoryBlock[];
  };
  readonly passes: readonly { readonly name: string; readonly doc: string; readonly ops: number }[];
  readonly rules: readonly RuleRow[];
}

export interface RuleRow {
  readonly rule: string;
  readonly kind: 'applied' | 'missed';
  readonly why: string;
  readonly times: number;
  /** Where the values lie that it replaced. */
  readonly at: readonly string[];
}

export interface ReportData {
  readonly model: string;
  readonly source: string;
  readonly device: string;
  readonly rates: Rates;
  readonly kernels: readonly ReportKernel[];
  readonly entries: Readonly<Record<string, ReportEntry>>;
  readonly sources: Readonly<Record<string, string>>;
}

export function reportData(input: ReportInput): ReportData {
  const { manifest, wgsl } = input.artefact;
  const kernels = Object.entries(manifest.kernels).map(([name, { plan, bindings }]) => ({
    name,
    family: String(plan.family),
    plan: describePlan(plan as Plan),
    bindings: bindings.length,
    wgsl: wgsl.get(name)!.trimEnd(),
  }));
  const entries = input.entries.map((entry): [string, ReportEntry] => [entry.name, entryData(entry, input)]);
  const { model, source, device } = manifest;
  const { rates } = input;
  const sources = sourcesShown(input);
  return { model, source, device, rates, kernels, entries: Object.fromEntries(entries), sources };
}

/** The model file, and those that kernels come from: a report does not change with what it does not show. */
function sourcesShown({ artefact, sources }: ReportInput): ReportData['sources'] {
  const dispatches = Object.values(artefact.manifest.entries).flatMap((entry) => entry.dispatches);
  const places = dispatches.flatMap(({ source }) => source.map((place) => place.replace(/(:\d+)+$/, '')));
  const shown = new Set([artefact.manifest.source, ...places]);
  return Object.fromEntries(Object.entries(sources).filter(([file]) => shown.has(file)));
}

function entryData(entry: EntryInput, { artefact, records, rates, passDocs }: ReportInput): ReportEntry {
  const spec = artefact.manifest.entries[entry.name];
  const record = records[entry.name];
  const painter = new Painter(entry, record);
  const notes = notesOn(record);
  const passes = record.passes.map(({ name, ops }) => ({ name, ops, doc: passDocs[name] ?? '' }));
  return {
    dispatches: spec.dispatches.map(({ kernel, value }, i) => ({ kernel, value, notes: notes[i] })),
    parts: spec.parts ?? [],
    kernels: painter.kernels((i) => opsText(spec.dispatches[i])),
    ops: painter.ops(),
    costs: costRows(dispatchesIn(artefact.manifest.entries, entry.name), rates),
    macs: spec.macs,
    opCount: [passes[0]?.ops ?? 0, passes.at(-1)?.ops ?? 0],
    memory: memoryOf(entry, spec),
    passes,
    rules: ruleRows(record),
  };
}

/** Of each dispatch, why the kernel ends where it does, and what it does in place. */
function notesOn({ dispatches, remarks }: EntryRecord): string[][] {
  const notes = new Map(dispatches.map(({ values }) => [values.split(' ').at(-1)!, new Set<string>()]));
  for (const { by, why, values } of remarks) {
    if (!by.startsWith('rule ')) notes.get(values[0])?.add(`${by}: ${why}`);
  }
  return [...notes.values()].map((set) => [...set]);
}

/** Ops that compute; of a kernel that only rearranges, all. */
function opsText({ ops }: Dispatch): string {
  const views = new Set(['reshape', 'permute', 'broadcast', 'slice', 'copy']);
  const computing = ops.filter((op) => !views.has(op));
  return (computing.length ? computing : ops).join(' → ') || 'copy';
}

/** A dispatch in a run of an entry: whose own it is, and how often it runs. */
interface Repeated {
  readonly dispatch: Dispatch;
  readonly entry: string;
  readonly times: number;
}

function dispatchesIn(entries: Readonly<Record<string, EntrySpec>>, entry: string, times = 1): Repeated[] {
  const { parts = [], dispatches } = entries[entry];
  const before = parts.flatMap((part) => dispatchesIn(entries, part.entry, times * part.times));
  return [...before, ...dispatches.map((dispatch) => ({ dispatch, entry, times }))];
}

function costRows(dispatches: readonly Repeated[], rates: Rates): CostRow[] {
  const sumOf = (list: readonly Repeated[], value: (d: Dispatch) => number) =>
    list.reduce((sum, { dispatch, times }) => sum + times * value(dispatch), 0);
  const seconds = (d: Dispatch) => modelledSeconds(d, rates);
  const total = sumOf(dispatches, seconds);
  const groups = new Map<string, Repeated[]>();
  for (const one of dispatches) groups.set(one.dispatch.kernel, [...(groups.get(one.dispatch.kernel) ?? []), one]);
  return [...groups].map(([kernel, list]) => {
    const [macs, bytes] = [sumOf(list, (d) => d.macs), sumOf(list, (d) => d.bytesRead + d.bytesWritten)];
    const share = total ? sumOf(list, seconds) / total : 0;
    const intensity = bytes ? (2 * macs) / bytes : 0;
    const at = [...new Set(list.flatMap(({ dispatch }) => dispatch.source))];
    const { dispatch, entry } = list.at(-1)!;
    const { type = '' } = dispatch;
    return {
      kernel,
      entry,
      uses: sumOf(list, () => 1),
      type,
      ops: opsText(dispatch),
      macs,
      bytes,
      intensity,
      share,
      at,
    };
  });
}

function memoryOf({ graph, memory, regions }: EntryInput, spec: EntrySpec): ReportEntry['memory'] {
  const names = nameNodes(nodesOf(graph));
  const readers = new Map<Node, number[]>([...memory.places.keys()].map((node) => [node, []]));
  const isBuffer = buffersOf(regions.map(({ region }) => region));
  regions.forEach(({ region }, i) => {
    for (const node of new Set(operandsOf(region).flatMap((read) => storedIn(read, isBuffer))))
      readers.get(node)?.push(i);
  });
  const blocks = [...memory.places].map(([node, { arena, offset, size }]): MemoryBlock => {
    const { from, to } = memory.lifetimes.get(node)!;
    return { name: names.get(node)!, arena, offset, size, from, to, readBy: readers.get(node)! };
  });
  blocks.sort((a, b) => a.from - b.from || a.arena - b.arena || a.offset - b.offset);
  const { weightBytes, activationPeakBytes, activationLowerBoundBytes } = spec.memory;
  const [peak, bound] = [activationPeakBytes, activationLowerBoundBytes];
  return { arenas: memory.arenas, peak, bound, weights: weightBytes, blocks };
}

function ruleRows({ remarks }: EntryRecord): RuleRow[] {
  const rows = new Map<string, { rule: string; kind: RuleRow['kind']; why: string; times: number; at: Set<string> }>();
  for (const { by, kind, values, why } of remarks) {
    if (!by.startsWith('rule ')) continue;
    const key = `${by} ${kind} ${why}`;
    const row = rows.get(key) ?? { rule: by.slice(5), kind, why, times: 0, at: new Set() };
    row.times++;
    const [, place] = values[0].split(' @ ');
    if (place) row.at.add(place);
    rows.set(key, row);
  }
  return [...rows.values()].map((row) => ({ ...row, at: [...row.at] }));
}
