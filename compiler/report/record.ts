/**
 * The record of a compilation, as plain data: which dispatch computes which values, and the remarks of the passes. It is
 * written as remarks.json beside the manifest, and is what `ditc inspect --why-not` and the report read.
 */
import { labelOf, nameNodes, nodesOf, type Node, type Remark } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { operandsOf, type Region } from '../fusion/regions.ts';
import { buffersOf, storedIn } from '../fusion/windows.ts';
import type { EntryInput } from '../emit/build.ts';
import type { EntrySpec } from '../emit/artefact.ts';
import { formatJson } from '../emit/write.ts';

/** Values that came from one line of the model, in all its repetitions. */
export interface Origin {
  /** The variable's or parameter's name. */
  readonly name?: string;
  /** The op, and the composite it is part of. */
  readonly op: string;
  readonly part?: string;
  /** `file:line:col` */
  readonly at?: string;
}

export interface DispatchRecord {
  readonly kernel: string;
  /** Names in graph.ir of what it computes, in order, results last; space-separated. */
  readonly values: string;
  /** For each value its index in `origins`. */
  readonly from: readonly number[];
  /** Names in graph.ir of what it reads from memory; space-separated. */
  readonly reads: string;
  /** The dispatches whose results it reads. */
  readonly after: readonly number[];
}

export interface RemarkRecord {
  readonly by: string;
  readonly kind: Remark['kind'];
  /** Names in graph.ir; `label @ place` for values that are not in the final graph. */
  readonly values: readonly string[];
  readonly why: string;
}

export interface EntryRecord {
  /** Ops before the first pass (`trace`) and after each. */
  readonly passes: readonly { readonly name: string; readonly ops: number }[];
  readonly origins: readonly Origin[];
  /** Results by the names that the entry returns them under: names in graph.ir. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly dispatches: readonly DispatchRecord[];
  readonly remarks: readonly RemarkRecord[];
}

/** By the entry's name. */
export type CompilationRecord = Readonly<Record<string, EntryRecord>>;

export function recordOf(
  { graph, regions, remarks }: EntryInput,
  spec: EntrySpec,
  passes: EntryRecord['passes'],
): EntryRecord {
  const names = nameNodes(nodesOf(graph));
  const origins = new Origins();
  const writer = new Map(regions.flatMap(({ region }, i) => region.results.map(({ node }) => [node, i] as const)));
  const isBuffer = buffersOf(regions.map(({ region }) => region));
  const writersOf = (read: Node) => storedIn(read, isBuffer).flatMap((node) => writer.get(node) ?? []);
  const nameOf = (node: Node) => names.get(node)!;
  const pieces = piecesOf(
    regions.map(({ region }) => region),
    (node) => writersOf(node).reduce<number | undefined>((last, i) => Math.max(last ?? i, i), undefined),
  );
  const dispatches = regions.map(({ region }, i): DispatchRecord => {
    const own = region.members.filter((node) => opDef(node.op).kind !== 'leaf' && !pieces.elsewhere[i].has(node));
    const results = region.results.map(({ node }) => node);
    const values = [...own.filter((node) => !results.includes(node)), ...pieces.of[i], ...results];
    const reads = operandsOf(region);
    const after = new Set(reads.flatMap(writersOf));
    return {
      kernel: spec.dispatches[i].kernel,
      values: values.map(nameOf).join(' '),
      from: values.map((node) => origins.add(node)),
      reads: reads.map(nameOf).join(' '),
      after: [...after].sort((a, b) => a - b),
    };
  });
  const valueOf = (node: Node) => names.get(node) ?? (node.loc ? `${foreignLabel(node)} @ ${node.loc}` : labelOf(node));
  // What was decided on again, with the same end, is told once.
  const told = new Map<string, RemarkRecord>();
  for (const { values, ...rest } of remarks.list) {
    const remark = { ...rest, values: values.map(valueOf) };
    told.set(JSON.stringify(remark), remark);
  }
  const outputs = Object.fromEntries(graph.outputs.map(({ name, node }) => [name, nameOf(node)]));
  return { passes, origins: origins.list, outputs, dispatches, remarks: [...told.values()] };
}

/**
 * Views of another dispatch's result (one of merged projections, say) are that dispatch's values, whoever indexes through
 * them: `of` has them by the dispatch that computes them (of a whole, the last of its parts), `elsewhere` by the one that
 * reads them.
 */
function piecesOf(regions: readonly Region[], writerOf: (read: Node) => number | undefined) {
  const of = regions.map(() => new Set<Node>());
  const elsewhere = regions.map(() => new Set<Node>());
  const isResult = (i: number, node: Node) => regions[i].results.some((result) => result.node === node);
  regions.forEach(({ members, reads }, i) => {
    const computedBy = new Map(reads.map((node) => [node, writerOf(node)]));
    const add = (node: Node, writer: number | undefined) => {
      if (writer !== undefined && !isResult(writer, node)) of[writer].add(node);
    };
    for (const node of reads) add(node, computedBy.get(node));
    for (const node of members) {
      const writer = isResult(i, node) || opDef(node.op).kind !== 'view' ? undefined : computedBy.get(node.inputs[0]);
      if (writer === undefined || writer === i || node.inputs.length > 1) continue;
      computedBy.set(node, writer);
      elsewhere[i].add(node);
      add(node, writer);
    }
  });
  return { of, elsewhere };
}

const foreignLabel = (node: Node): string => node.name ?? String(node.attrs.name ?? node.origin ?? node.op);

class Origins {
  readonly list: Origin[] = [];
  private readonly known = new Map<string, number>();

  add({ name, attrs, op, origin, loc }: Node): number {
    const own = name ?? (typeof attrs.name === 'string' ? attrs.name : undefined);
    const made: Origin = { name: own, op, part: origin, at: loc };
    const key = JSON.stringify(made);
    const index = this.known.get(key) ?? this.list.push(made) - 1;
    this.known.set(key, index);
    return index;
  }
}

/** remarks.json */
export const recordText = (entries: CompilationRecord): string => `${formatJson({ format: 1, entries })}\n`;
