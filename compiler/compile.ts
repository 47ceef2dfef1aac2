/** A model becomes an artefact: its entries are traced, sent through the pipeline together, and emitted. */
import { zeros } from './dsl/init.ts';
import { defaultEntries, traceEntry, type EntryOptions, type Model, type TracedEntry } from './dsl/model.ts';
import type { DeclaredParam } from './dsl/trace.ts';
import type { Artefact, Manifest } from './emit/artefact.ts';
import { buildArtefact, type EntryInput, type ModelInput } from './emit/build.ts';
import { packConflicts } from './emit/pack-conflicts.ts';
import { attempt } from './emit/reproducer.ts';
import { startsOf } from './emit/starts.ts';
import type { TracedModel } from './emit/traced.ts';
import { byteSize, DitcError, GraphBuilder, nodesOf, type Graph, type Node } from './ir/index.ts';
import { bytesOfAll, leafBytes } from './memory/leaves.ts';
import { opTable } from './ops/index.ts';
import { halfPasses, schedule, type CompileOptions, type Halves, type Precision } from './pipeline.ts';
import { hoist, type TableLimits } from './rewrite/hoist.ts';
import type { Apart } from './rewrite/packs.ts';
import { halfParams } from './rewrite/precision.ts';
import { bundlesOf } from './fusion/bundles.ts';
import { checkHalf, limit, type DeviceSpec } from './device.ts';

/** What to compile of a model. */
export interface ModelOptions extends CompileOptions {
  /** Model name and source path for the manifest. */
  readonly name: string;
  readonly source: string;
  /** Entries to compile; all but those on demand unless told. */
  readonly entries?: readonly string[];
  /** Options of the entries: batch, steps, sampler, … */
  readonly entryOptions: EntryOptions;
  /** Storage of weights and of what contractions read, f32 unless told. Entries are told it as their option `dtype`. */
  readonly dtype?: Precision;
  /** Called with each entry as it goes to emission. */
  readonly onEntry?: (entry: EntryInput) => void;
}

export const compileModel = (model: Model, options: ModelOptions): Artefact =>
  compileTraced(traceModel(model, options), options);

/** Runs the entries of a model to be compiled, and asks the others for what the artefact says of them. */
export function traceModel(model: Model, options: ModelOptions): TracedModel {
  const { dtype = 'f32', entryOptions, device } = options;
  if (dtype === 'f16') checkHalf(device);
  const names = options.entries ?? defaultEntries(model);
  const entries = names.map((name) => traceEntry(model, name, { ...entryOptions, dtype }));
  const left = Object.keys(model.entries).filter((name) => !names.includes(name));
  const read = new Set(entries.flatMap(({ params }) => params.map(({ node }) => node.attrs.name)));
  return {
    entries,
    starts: startsOf(entries, () => traceOthers(model, left, { ...entryOptions, dtype })),
    otherParams: paramsOfOthers(model, names, entryOptions).filter((name) => !read.has(name)),
    naming: model,
    layouts: fixedIn(model),
    options: plainOptions({ ...model.options, ...entryOptions, dtype }),
  };
}

export function compileTraced(traced: TracedModel, options: ModelOptions): Artefact {
  const { starts, otherParams, naming, layouts } = traced;
  const half = options.dtype === 'f16' ? forHalf(traced.entries, options) : options;
  const entries = compileEntries(traced.entries, half).map((entry) => {
    return { ...entry, startedBy: starts.get(entry.name) };
  });
  for (const entry of entries) options.onEntry?.(entry);
  return emit({ ...options, naming, layouts, otherParams, options: traced.options }, entries, options);
}

/** What a checkpoint's own `config.json` must agree on with the model, by layout. */
export function fixedIn({ layouts = {} }: Model): Manifest['layouts'] {
  const fixed = Object.entries(layouts).map(([name, { folder }]) => {
    return [name, Object.fromEntries((folder?.telling ?? []).map((key) => [key, folder!.config[key]]))] as const;
  });
  return fixed.length ? Object.fromEntries(fixed) : undefined;
}

/** The options that a manifest can hold. */
const plainOptions = (options: EntryOptions): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => /^(number|string|boolean)$/.test(typeof value)));

/** Parameters of the default entries that are not compiled. */
function paramsOfOthers(model: Model, compiled: readonly string[], options: EntryOptions): string[] {
  const left = defaultEntries(model).filter((name) => !compiled.includes(name));
  const others = traceOthers(model, left, options);
  return [...new Set(others.flatMap(({ params }) => params.map(({ node }) => String(node.attrs.name))))];
}

/** Entries that are not compiled, without those that the options do not suit. */
function traceOthers(model: Model, names: readonly string[], options: EntryOptions): TracedEntry[] {
  return names.flatMap((name) => {
    try {
      return [traceEntry(model, name, options)];
    } catch (error) {
      if (error instanceof DitcError) return [];
      throw error;
    }
  });
}

/** Options that store weights, and what contractions read, as f16. */
function forHalf(traced: readonly TracedEntry[], options: CompileOptions): CompileOptions & { halves: Halves } {
  const halves = halfParams(traced.map(({ graph }) => graph));
  return { ...options, passes: halfPasses(options.passes, halves), halves };
}

function emit(
  model: Omit<ModelInput, 'device' | 'entries'>,
  entries: readonly EntryInput[],
  { device }: CompileOptions,
): Artefact {
  const graphs = entries.map((entry) => entry.graph);
  return attempt({ emit: 'wgsl', device, graphs }, () => buildArtefact({ ...model, device, entries }));
}

/** Compiles bare graphs, as `ditc opt` and tests have them; params and states start at zero. */
export function compileGraphs(graphs: readonly Graph[], options: CompileOptions): Artefact {
  const declared = (graph: Graph, op: string) => leavesOf(graph, op).map((node) => ({ node, init: zeros }));
  const traced = graphs.map((graph) => {
    return { graph, params: declared(graph, 'param'), states: declared(graph, 'state') };
  });
  const entries = compileEntries(traced, options);
  return emit({ name: 'graph', source: '' }, entries, options);
}

/** All entries; again, with less joined, while they cannot have their packs together. */
function compileEntries(traced: readonly TracedEntry[], options: CompileOptions & { halves?: Halves }): EntryInput[] {
  const alignment = limit(options.device, 'minStorageBufferOffsetAlignment');
  const bundles = bundlesOf(
    traced.map(({ graph }) => graph),
    options.device,
  );
  for (let apart: Apart = new Set(); ;) {
    const entries = traced.flatMap((entry) => {
      const memory = options.memory && options.memory - bytesBeside(entry, traced);
      return compileEntry(entry, { ...options, memory, apart, bundles });
    });
    const conflicts = packConflicts(entries, alignment);
    if ([...conflicts].every((key) => apart.has(key))) return entries;
    apart = new Set([...apart, ...conflicts]);
  }
}

/** Bytes of what only other entries find in memory. */
function bytesBeside({ graph }: TracedEntry, all: readonly TracedEntry[]): number {
  const others = new Map(all.flatMap((entry) => [...leafBytes(entry.graph)].filter(([key]) => !/^constant/.test(key))));
  for (const key of leafBytes(graph).keys()) others.delete(key);
  return bytesOfAll(others);
}

/** An entry, and before it the prelude that hoisting takes out of it. */
function compileEntry(
  { graph, classes, params, states }: TracedEntry,
  options: CompileOptions & { halves?: Halves },
): EntryInput[] {
  const { body, prelude } = hoist(graph, tableLimits(params, options.device));
  const entryOf = (traced: Graph, of: readonly DeclaredParam[]) => ({
    name: traced.name,
    traced,
    classes,
    params: of.map((param) => storedParam(param, options.halves)),
    ...schedule(traced, options),
  });
  if (!prelude) return [{ ...entryOf(body, params), states }];
  const hoisted = prelude.updates.map(({ state }) => ({ node: state, init: zeros }));
  const read = new Set(leavesOf(prelude, 'param').map((node) => node.attrs.name));
  const before = entryOf(
    prelude,
    params.filter(({ node }) => read.has(node.attrs.name)),
  );
  return [
    { ...before, states: hoisted },
    { ...entryOf(body, params), states: [...states, ...hoisted], prelude: prelude.name },
  ];
}

/** A parameter in the dtype that it is stored in. */
function storedParam(param: DeclaredParam, halves?: Halves): DeclaredParam {
  const { op, attrs } = param.node;
  if (!halves?.has(String(attrs.name))) return param;
  return { ...param, node: new GraphBuilder(opTable).apply(op, [], { ...attrs, dtype: 'f16' }, param.node) };
}

const leavesOf = (graph: Graph, op: string): Node[] => nodesOf(graph).filter((node) => node.op === op);

/** A table is worth its memory while all of them are small beside the weights that it spares the loop. */
const tableLimits = (params: TracedEntry['params'], device: DeviceSpec): TableLimits => ({
  each: limit(device, 'maxStorageBufferBindingSize'),
  total: params.reduce((sum, { node }) => sum + byteSize(node.type), 0) / 2,
});
