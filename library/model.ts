/** Model files on their way through the compiler, as programs and commands need it. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { guard, loadModel as load, type LoadedModel } from '../compiler/frontend/index.ts';
import { defaultEntries, traceEntry, type EntryOptions, type Model } from '../compiler/dsl/model.ts';
import type { Fusion } from '../compiler/fusion/group.ts';
import type { Artefact, InputSpec, TensorSpec } from '../compiler/emit/artefact.ts';
import { inputSpecs } from '../compiler/emit/input-range.ts';
import { DitcError, nodesOf, type Graph } from '../compiler/ir/index.ts';
import { opDef } from '../compiler/ops/index.ts';
import { compileTraced, traceModel } from '../compiler/compile.ts';
import { pipeline, type Pass, type Precision } from '../compiler/pipeline.ts';
import type { EntryInput } from '../compiler/emit/build.ts';
import { digestOfTrace, type TracedModel } from '../compiler/emit/traced.ts';
import { recordOf, type CompilationRecord, type EntryRecord } from '../compiler/report/record.ts';
import type { DeviceSpec } from '../compiler/device.ts';
import { nearest } from '../runtime/checkpoint/suggest.ts';
import { keep, remembered } from './cache.ts';
import { nanConstants } from '../compiler/report/nan-constants.ts';
import { sizesFrom } from './onnx/inputs.ts';
import { onnxModel, onnxName, readOnnx } from './onnx/load.ts';
import { findTable, Tuning, type FoundTable } from './tuning/find.ts';
import { shownPath } from './tuning/path.ts';

/** Who is told what is under way. */
export interface Watch {
  /** Does work that lets nothing else happen while it lasts. */
  phase<T>(name: string, work: () => T): T;
  /** A sentence that the user should know. */
  note(text: string): void;
}

const unwatched: Watch = { phase: (_name, work) => work(), note() {} };

export type { LoadedModel } from '../compiler/frontend/index.ts';

/**
 * Opens a model file. Places in it are told from its package's folder, or its own, and not from the working directory: an
 * artefact must not depend on where the command ran.
 */
export const loadModel = (path: string, watch = unwatched): LoadedModel =>
  watch.phase('type check', () => opened(path));

function opened(path: string): LoadedModel {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return load(path);
  const file = realpathSync(path);
  const home = packageFolder(dirname(file)) ?? dirname(file);
  const loaded = isOnnx(file) ? network(file) : load(file, { cwd: home, keep });
  homes.set(loaded, home);
  return loaded;
}

/** Whether a model is a network that others wrote, with its weights. */
export const isOnnx = (path: string): boolean => /\.onnx$/i.test(path);

function network(file: string): LoadedModel {
  const source = basename(file);
  const read = readOnnx(file, source);
  const loaded = inMemory(onnxModel(read), onnxName(file), source);
  return { ...loaded, weights: file, optionsFor: (shapes) => sizesFrom(read.inputs, shapes) };
}

/** A model that no TypeScript file has: its values have no lines. */
export const inMemory = (model: Model, name: string, source = ''): LoadedModel => ({
  model,
  name,
  source,
  files: [],
  sourceText: () => undefined,
  units: new Map(),
  checked() {},
});

const homes = new WeakMap<LoadedModel, string>();

/** The folder of a model file's package, or its own; undefined of a model that no file has. */
export const homeOf = (loaded: LoadedModel): string | undefined => homes.get(loaded);

function packageFolder(folder: string): string | undefined {
  if (existsSync(join(folder, 'package.json'))) return folder;
  return dirname(folder) === folder ? undefined : packageFolder(dirname(folder));
}

export interface Compiled {
  readonly artefact: Artefact;
  /** Each entry's graph after all passes. */
  readonly graphs: readonly Graph[];
  /** Ops as traced and after all passes, of all entries together. */
  readonly ops: { readonly before: number; readonly after: number };
  /** Each entry as it went to emission, and its ops after each pass. */
  readonly entries: readonly EntryInput[];
  readonly passes: ReadonlyMap<string, EntryRecord['passes']>;
}

export interface CompileOptions {
  readonly device: DeviceSpec;
  readonly entries?: readonly string[];
  readonly entryOptions: EntryOptions;
  readonly dtype?: Precision;
  /** Bytes on the device that may be used. */
  readonly memory?: number;
  /** The file of a tuning table, or `off`; unless told, the one for the device beside the model, if there is one. */
  readonly tuning?: string;
  readonly onPass?: (pass: string, graph: Graph) => void;
  readonly onFusion?: (pass: string, fusion: Fusion) => void;
  /** Passes after those of the pipeline. */
  readonly morePasses?: readonly Pass[];
  readonly watch?: Watch;
}

const opCount = (graph: Graph): number => nodesOf(graph).filter((node) => opDef(node.op).kind !== 'leaf').length;

/** Compiles entries of a model; errors of the model's own code come with their place in it. */
export const compile = (loaded: LoadedModel, options: CompileOptions): Compiled =>
  compileTrace(loaded, options, trace(loaded, options), tableFor(loaded, options));

/** The artefact alone: from the cache, where it was compiled before of the same trace, for the same device with the same options. */
export const compileArtefact = (loaded: LoadedModel, options: CompileOptions): Artefact =>
  compiledOnce('artefact', loaded, options, undefined, (compiled) => compiled.artefact);

/**
 * What `make` makes of a compiled model: from the cache, where it did so before. `more` is what it depends on besides; it tells the
 * `kind` too.
 */
export function compiledOnce<T>(
  kind: string,
  loaded: LoadedModel,
  options: CompileOptions,
  more: unknown,
  make: (compiled: Compiled) => T,
): T {
  const traced = trace(loaded, options);
  // The entries and their options are in the trace.
  const {
    onPass,
    onFusion,
    morePasses,
    watch: _watch,
    entries: _entries,
    entryOptions: _told,
    tuning: _tuning,
    ...others
  } = options;
  const table = tableFor(loaded, options);
  const made = () => make(compileTrace(loaded, options, traced, table));
  // Passes of a test's own, or someone who watches.
  if (onPass || onFusion || morePasses?.length) return made();
  const key = [digestOfTrace(traced), loaded.name, loaded.source, others, table && [...table.table.lines], more];
  const found = remembered(kind, key, made);
  loaded.checked();
  return found;
}

function trace(loaded: LoadedModel, options: CompileOptions): TracedModel {
  const { model, name, source } = loaded;
  const entries = options.entries ?? defaultEntries(model);
  for (const entry of entries) checkEntry(entry, Object.keys(model.entries), source);
  const traced = guard(loaded, () => traceModel(model, { ...options, name, source, entries }));
  for (const note of notesOn(traced.entries.map(({ graph }) => graph))) tell(note, loaded, options.watch);
  return traced;
}

/** What the user should know of a model, a sentence each. */
export const notesOn = (traced: readonly Graph[]): string[] => [...new Set(traced.flatMap(nanConstants))];

/** The tuning table to compile by. */
function tableFor(loaded: LoadedModel, { tuning, device, watch }: CompileOptions): FoundTable | undefined {
  const say = (note: string) => tell(note, loaded, watch);
  const found = findTable(tuning, homeOf(loaded), device, say);
  if (found) say(`tuned by ${shownPath(found.path)}`);
  return found;
}

const told = new WeakMap<LoadedModel, Set<string>>();

/** Once, however often the model is compiled. */
function tell(note: string, loaded: LoadedModel, watch?: Watch): void {
  if (!watch) return;
  const known = told.get(loaded) ?? new Set();
  if (!known.has(note)) watch.note(note);
  told.set(loaded, known.add(note));
}

function compileTrace(loaded: LoadedModel, options: CompileOptions, traced: TracedModel, table?: FoundTable): Compiled {
  const tuning = table && new Tuning(table);
  const { name, source } = loaded;
  const inputs: EntryInput[] = [];
  const opsAfter = new Map<string, { name: string; ops: number }[]>();
  const onPass = (pass: string, graph: Graph) => {
    opsAfter.set(graph.name, [...(opsAfter.get(graph.name) ?? []), { name: pass, ops: opCount(graph) }]);
    options.onPass?.(pass, graph);
  };
  const onEntry = (entry: EntryInput) => void inputs.push(entry);
  const passes = [...pipeline, ...(options.morePasses ?? [])];
  const compiling = { ...options, name, source, passes, onPass, onEntry, plan: tuning?.plan };
  const { watch = unwatched } = options;
  const artefact = watch.phase('compile', () => guard(loaded, () => compileTraced(traced, compiling)));
  loaded.checked();
  for (const note of tuning?.refused() ?? []) tell(note, loaded, watch);
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  const ops = {
    before: sum(traced.entries.map(({ graph }) => opCount(graph))),
    after: sum([...opsAfter.values()].map((list) => list.at(-1)!.ops)),
  };
  return { artefact, graphs: inputs.map(({ graph }) => graph), ops, entries: inputs, passes: opsAfter };
}

/** What the compiler did to each entry, and why. */
export const compilationRecord = ({ artefact, entries, passes }: Compiled): CompilationRecord =>
  Object.fromEntries(
    entries.map((entry) => [
      entry.name,
      recordOf(entry, artefact.manifest.entries[entry.name], passes.get(entry.name)!),
    ]),
  );

/** Inputs and states of an entry, from a trace alone: quick, and it finds what is wrong with the options. */
export function signatureOf(
  loaded: LoadedModel,
  entry: string,
  options: EntryOptions,
): { readonly inputs: readonly InputSpec[]; readonly states: readonly TensorSpec[] } {
  const { graph, classes, states } = guard(loaded, () => traceEntry(loaded.model, entry, options));
  const specs = states.map(({ node }) => ({ name: String(node.attrs.name), ...node.type }));
  return { inputs: inputSpecs(graph, classes), states: specs };
}

/** Throws unless the model (or artefact) at `where` has the entry. */
export function checkEntry(entry: string, known: readonly string[], where: string): void {
  if (known.includes(entry)) return;
  const candidates = known.map((name) => ({ name, shape: [] }));
  const near = nearest({ name: entry, shape: [] }, candidates);
  throw new DitcError({
    code: 'entry',
    where,
    what: `there is no entry ${entry}`,
    fix: `${near ? `did you mean ${near}? ` : ''}choose one of ${known.join(', ')}`,
  });
}
