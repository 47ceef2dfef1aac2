/** The table of `ditc inspect`: one row a kernel, or a dispatch, of an entry. */
import type { Dispatch, EntrySpec } from '../compiler/emit/artefact.ts';
import { modelledSeconds, type Rates } from '../compiler/report/roofline.ts';
import { bytes, cut, macs, plural, table } from './text.ts';
import type { Terminal } from './terminal.ts';

/** A kernel's dispatches, or one of them, with their sums. */
export interface Row {
  readonly kernel: string;
  readonly uses: number;
  readonly workgroups: readonly number[];
  /** Type of the result: `f32[1,256,1152]`. */
  readonly type?: string;
  readonly macs: number;
  /** Of the entry's MACs. */
  readonly share: number;
  /** Of the entry's modelled time. */
  readonly cost: number;
  readonly bytes: number;
  readonly values: readonly string[];
  readonly ops: readonly string[];
  readonly source: readonly string[];
}

/** One row for each kernel, in the order of first use; or for each dispatch. */
export function rowsOf(entry: EntrySpec, rates: Rates, all: boolean): Row[] {
  if (all) return entry.dispatches.map((dispatch) => rowOf([dispatch], entry, rates));
  const groups = new Map<string, Dispatch[]>();
  for (const dispatch of entry.dispatches) {
    groups.set(dispatch.kernel, [...(groups.get(dispatch.kernel) ?? []), dispatch]);
  }
  return [...groups.values()].map((dispatches) => rowOf(dispatches, entry, rates));
}

function rowOf(dispatches: readonly Dispatch[], entry: EntrySpec, rates: Rates): Row {
  const [{ kernel, workgroups, type, ops, source }] = dispatches;
  const part = (value: (d: Dispatch) => number) => {
    const [own, all] = [dispatches, entry.dispatches].map((list) => list.reduce((sum, d) => sum + value(d), 0));
    return { own, share: all ? own / all : 0 };
  };
  const counted = part((d) => d.macs);
  return {
    kernel,
    uses: dispatches.length,
    workgroups,
    type,
    macs: counted.own,
    share: counted.share,
    cost: part((d) => modelledSeconds(d, rates)).share,
    bytes: part((d) => d.bytesRead + d.bytesWritten).own,
    values: [...new Set(dispatches.map((d) => d.value))],
    ops,
    source,
  };
}

/** Width of the whole table. */
const WIDTH = 118;
/** Ops that only rearrange: the kernel's own header leaves them out too. */
const VIEWS = new Set(['reshape', 'permute', 'broadcast', 'slice', 'copy']);

export function entryText(title: string, spec: EntrySpec, rows: readonly Row[], { outColors: c }: Terminal): string {
  const { dispatches, memory } = spec;
  const kernels = new Set(dispatches.map((d) => d.kernel)).size;
  const summary = [
    `${plural(dispatches.length, 'dispatch', 'dispatches')} of ${plural(kernels, 'kernel')}`,
    macs(spec.macs),
    `${bytes(memory.activationPeakBytes)} activations`,
    ...(memory.stateBytes ? [`${bytes(memory.stateBytes)} state`] : []),
    ...(spec.parts ?? []).flatMap(({ entry, times }) => (times > 1 ? [`after ${times} turns of ${entry}`] : [])),
  ];
  const cells = rows.map((row) => [
    row.kernel,
    row.uses > 1 ? `×${row.uses}` : '',
    row.type ?? '',
    row.macs ? macs(row.macs) : '',
    bytes(row.bytes),
    `${(row.cost * 100).toFixed(1)} %`,
    row.source[row.source.length - 1]?.replace(/:\d+$/, '') ?? '',
    opsText(row.ops),
  ]);
  const head = ['kernel', 'uses', 'result', 'MACs', 'bytes', 'cost', 'source', 'ops'];
  const lines = table([head, ...cells], new Set([1, 3, 4, 5])).map((line) => `  ${cut(line, WIDTH - 2)}`);
  const [first, ...rest] = lines;
  return [`${c.bold(title)}  ${summary.join(' · ')}`, c.dim(first), ...rest].join('\n');
}

function opsText(ops: readonly string[]): string {
  const computing = ops.filter((op) => !VIEWS.has(op));
  return (computing.length ? computing : ops).join(' → ');
}
