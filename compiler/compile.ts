/** A model becomes an artefact: its entries are traced, sent through the pipeline together, and emitted. */
import { zeros } from './dsl/init.ts';
import { defaultEntries, traceEntry, type EntryOptions, type Model, type TracedEntry } from './dsl/model.ts';
import type { DeclaredParam } from './dsl/trace.ts';
import type { Artefact, Manifest } from './emit/artefact.ts';
import { buildArtefact, type EntryInput, type ModelInput } from './emit/build.ts';
import type { Declared } from './emit/declare.ts';
import { attempt } from './emit/reproducer.ts';
import { startsOf } from './emit/starts.ts';
import type { TracedModel } from './emit/traced.ts';
import { DitcError, GraphBuilder, nodesOf, type Graph, type Node } from './ir/index.ts';
import { opTable } from './ops/index.ts';
import { passesFor, scheduleAll, type CompileOptions, type Precision, type Scheduled } from './pipeline.ts';
import { nameOf } from './rewrite/packs.ts';
import { checkHalf } from './device.ts';

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
  const passes = passesFor(options.dtype, options.passes);
  const entries = compileEntries(traced.entries, { ...options, passes }).map((entry) => {
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

/** The entries, and before each the parts that passes took out of it, to run before. */
function compileEntries(traced: readonly TracedEntry[], options: CompileOptions): EntryInput[] {
  const scheduled = scheduleAll(
    traced.map(({ graph }) => graph),
    options,
  );
  const isHalf = ({ op, type }: Node) => op === 'param' && type.dtype === 'f16';
  const halves = new Set(scheduled.flatMap(({ graph }) => nodesOf(graph).filter(isHalf).map(nameOf)));
  const wholes = new Map(traced.map((entry) => [entry.graph.name, entry]));
  let before: Scheduled[] = [];
  return scheduled.flatMap((part) => {
    const whole = wholes.get(part.graph.name);
    if (!whole) return (before.push(part), []);
    const entries = entriesOf(whole, before, part, halves);
    before = [];
    return entries;
  });
}

/** An entry as the emitter takes it, and before it what fills the states that it reads: tables of a loop of runs, parts of its own loops. */
function entriesOf(
  { classes, params, states }: TracedEntry,
  before: readonly Scheduled[],
  body: Scheduled,
  halves: ReadonlySet<string>,
): EntryInput[] {
  const all = [...before, body];
  const declared = new Map<string, Declared>(states.map((state) => [nameOf(state.node), state]));
  for (const { state } of all.flatMap(({ traced }) => traced.updates))
    if (state.op === 'state' && !declared.has(nameOf(state)))
      declared.set(nameOf(state), { node: state, init: zeros, scratch: true });
  const preludes = before.filter(({ traced }) => !traced.part).map(({ traced }) => traced.name);
  return all.map((scheduled): EntryInput => {
    const { name } = scheduled.traced;
    const isWhole = scheduled === body;
    const uses = (op: string) => new Set(leavesOf(scheduled.traced, op).map(nameOf));
    const [ofParams, ofStates] = [uses('param'), uses('state')];
    const own = params.filter(({ node }) => isWhole || ofParams.has(nameOf(node)));
    const parts = before.flatMap(({ traced }) => (traced.part?.of === name ? [{ entry: traced.name, times: traced.part.times }] : [])); // prettier-ignore
    const at = isWhole ? preludes.length : preludes.indexOf(name);
    return {
      name,
      classes,
      ...scheduled,
      params: own.map((param) => storedParam(param, halves)),
      states: isWhole
        ? [...declared.values()]
        : [...declared.values()].filter(({ node }) => ofStates.has(nameOf(node))),
      prelude: preludes[at - 1],
      ...(parts.length && { parts }),
    };
  });
}

/** A parameter in the dtype that it is stored in. */
function storedParam(param: DeclaredParam, halves: ReadonlySet<string>): DeclaredParam {
  const { op, attrs } = param.node;
  if (!halves.has(nameOf(param.node))) return param;
  return { ...param, node: new GraphBuilder(opTable).apply(op, [], { ...attrs, dtype: 'f16' }, param.node) };
}

const leavesOf = (graph: Graph, op: string): Node[] => nodesOf(graph).filter((node) => node.op === op);
