/** Model files on their way through the compiler, as the commands need it. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { guard, loadModel as load, type LoadedModel } from '../compiler/frontend/index.ts';
import { traceEntry, type EntryOptions } from '../compiler/dsl/model.ts';
import type { Artefact, TensorSpec } from '../compiler/emit/artefact.ts';
import { DitcError, nodesOf, type Graph } from '../compiler/ir/index.ts';
import { opDef } from '../compiler/ops/index.ts';
import { compileModel, pipeline, type Pass } from '../compiler/pipeline.ts';
import type { DeviceSpec } from '../compiler/schedule/device.ts';

export type { LoadedModel } from '../compiler/frontend/index.ts';

/**
 * Opens a model file. Places in it are told from its package's folder, or its own, and not from the working directory: an
 * artefact must not depend on where the command ran.
 */
export function loadModel(path: string): LoadedModel {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return load(path);
  const file = realpathSync(path);
  return load(file, { cwd: packageFolder(dirname(file)) ?? dirname(file) });
}

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
}

export interface CompileOptions {
  readonly device: DeviceSpec;
  readonly entries?: readonly string[];
  readonly entryOptions: EntryOptions;
  readonly onPass?: (pass: string, graph: Graph) => void;
  /** Passes after those of the pipeline. */
  readonly morePasses?: readonly Pass[];
}

const opCount = (graph: Graph): number => nodesOf(graph).filter((node) => opDef(node.op).kind !== 'leaf').length;

/** Compiles entries of a model; errors of the model's own code come with their place in it. */
export function compile(loaded: LoadedModel, options: CompileOptions): Compiled {
  const { model, name, source } = loaded;
  const entries = options.entries ?? Object.keys(model.entries);
  for (const entry of entries) checkEntry(entry, Object.keys(model.entries), source);
  const graphs = new Map<string, Graph>();
  let before = 0;
  const onPass = (pass: string, graph: Graph) => {
    if (pass === 'trace') before += opCount(graph);
    graphs.set(graph.name, graph);
    options.onPass?.(pass, graph);
  };
  const passes = [...pipeline, ...(options.morePasses ?? [])];
  const artefact = guard(loaded, () => compileModel(model, { ...options, name, source, entries, passes, onPass }));
  const after = [...graphs.values()].reduce((sum, graph) => sum + opCount(graph), 0);
  return { artefact, graphs: entries.map((entry) => graphs.get(entry)!), ops: { before, after } };
}

/** The states of an entry, from a trace alone: quick, and it finds what is wrong with the options. */
export function statesOf(loaded: LoadedModel, entry: string, options: EntryOptions): TensorSpec[] {
  const { states } = guard(loaded, () => traceEntry(loaded.model, entry, options));
  return states.map(({ node }) => ({ name: String(node.attrs.name), ...node.type }));
}

/** Throws unless the model (or artefact) at `where` has the entry. */
export function checkEntry(entry: string, known: readonly string[], where: string): void {
  if (known.includes(entry)) return;
  throw new DitcError({
    code: 'entry',
    where,
    what: `there is no entry ${entry}`,
    fix: `choose one of ${known.join(', ')}`,
  });
}
