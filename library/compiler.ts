/** `ditc/compiler`: the compiler for programs that build. The commands use the same functions; nothing here computes. */
import { fileURLToPath } from 'node:url';
import { writeArtefactFolder } from './artefact-folder.ts';
import { checkSpec, findDevice } from './device.ts';
import { checkMemory, compileWithin, needOf } from './memory.ts';
import { compiledOnce, inMemory, loadModel, notesOn, type LoadedModel } from './model.ts';
import type { Model } from '../compiler/dsl/index.ts';
import { optionsRead } from '../compiler/dsl/model.ts';
import type { Artefact } from '../compiler/emit/artefact.ts';
import { guard } from '../compiler/frontend/index.ts';
import { DitcError } from '../compiler/ir/index.ts';
import { artefactFiles, type Files } from '../compiler/emit/write.ts';
import type { Precision } from '../compiler/pipeline.ts';
import type { DeviceSpec } from '../compiler/device.ts';
import { nearestName } from '../runtime/checkpoint/suggest.ts';
import { wrongOptions, type OptionNames } from '../runtime/needs.ts';

export { DitcError };
export type { Artefact, DeviceSpec, Model, Precision };

/** How a model is compiled; an option that is none of these is refused. */
export interface CompileOptions {
  /** Entries to compile; all but those on demand unless told. */
  readonly entries?: readonly string[];
  /** The size that inputs give their first axis; 1 unless told. */
  readonly batch?: number;
  /** How weights, and what products read, are stored: f32 unless told. */
  readonly dtype?: Precision;
  /** What it will run on: a name as `--device` takes it, or the `spec` of an open device. Any WebGPU device unless told. */
  readonly device?: string | DeviceSpec;
  /** Bytes on the device that it may take: what does not fit is computed again instead of kept. */
  readonly memory?: number;
  /** The file of a tuning table, or `off`; the one of the device beside the model unless told. */
  readonly tuning?: string;
  /** What the entries read besides: `steps`, `sampler`, `cfg`, … over the model's own. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** What to call a model that has no file; `model` unless told. */
  readonly name?: string;
}

const OPTIONS: OptionNames<CompileOptions> = {
  entries: true,
  batch: true,
  dtype: true,
  device: true,
  memory: true,
  tuning: true,
  options: true,
  name: true,
};

/** What was compiled: `load` of `ditc/runtime` takes it, and `write` puts it where `ditc run` and `load` find it. */
export interface CompiledModel extends Artefact {
  /** What there is to know of the model, a sentence each: a constant of its own that is NaN, with its place. */
  readonly notes: readonly string[];
  /** Every file of the artefact by its path: the same bytes on every machine. */
  files(): ReadonlyMap<string, string | Uint8Array>;
  /** Writes the artefact to a folder, over what an earlier build wrote there and over nothing else. */
  write(folder: string | URL): Promise<void>;
}

/**
 * Compiles a model: a file, which is type-checked and whose lines errors name, or a model in memory.
 * @throws DitcError with the place in the file and the fix.
 */
export async function compile(model: string | URL | Model, options: CompileOptions = {}): Promise<CompiledModel> {
  const wrong = wrongOptions('compile', options, OPTIONS);
  if (wrong) throw new DitcError({ code: 'argument', ...wrong });
  const { entries, batch = 1, dtype, device = 'portable', memory, tuning } = options;
  check('batch', batch, Number.isSafeInteger(batch) && batch > 0, 'a whole number from 1');
  check('dtype', dtype, dtype === undefined || dtype === 'f32' || dtype === 'f16', 'f32 or f16');
  check('memory', memory, memory === undefined || (typeof memory === 'number' && memory > 0), 'a number of bytes');
  const isText = (name: unknown) => typeof name === 'string';
  check('tuning', tuning, tuning === undefined || typeof tuning === 'string', 'the path of a table, or off');
  const areNames = Array.isArray(entries) && entries.length > 0 && entries.every(isText);
  check('entries', entries, entries === undefined || areNames, 'a list of names');
  const isGiven = typeof options.options === 'object' && options.options !== null;
  check('options', options.options, options.options === undefined || isGiven, 'an object');
  if (!isModel(model) && typeof model !== 'string' && !(model instanceof URL))
    throw new DitcError({
      code: 'argument',
      what: `compile: the model is ${String(model)}`,
      fix: 'give the path of a model file, or a model that defineModel made',
    });
  const loaded = isModel(model) ? inMemory(model, options.name ?? 'model') : loadModel(pathOf(model));
  checkEntryOptions(loaded, batch, options.options);
  const spec = typeof device === 'string' ? await findDevice(device) : checkSpec(device, 'compile: device');
  const compiled = (size: number, most?: number) =>
    compileLoaded(loaded, {
      device: spec,
      entries,
      entryOptions: { ...options.options, batch: size },
      dtype,
      memory: most,
      tuning,
    });
  const { artefact, files, notes } = memory === undefined ? compiled(batch) : inMemoryOf(memory, batch, compiled);
  return {
    ...artefact,
    notes,
    files: () => files,
    write: async (folder) => writeArtefactFolder(pathOf(folder), files),
  };
}

/** Of a model that was compiled; from the cache, where it was before. */
interface Compiled {
  readonly artefact: Artefact;
  readonly files: Files;
  readonly notes: readonly string[];
}

const compileLoaded = (loaded: LoadedModel, options: Parameters<typeof compiledOnce>[2]): Compiled =>
  compiledOnce('library', loaded, options, undefined, ({ artefact, graphs, entries }) => {
    return { artefact, files: artefactFiles(artefact, graphs), notes: notesOn(entries.map(({ traced }) => traced)) };
  });

/** Throws for an option that no entry of the model reads: it would be without effect. */
function checkEntryOptions(loaded: LoadedModel, batch: number, given: CompileOptions['options']): void {
  const asked = Object.keys(given ?? {});
  if (!asked.length) return;
  const read = guard(loaded, () => optionsRead(loaded.model, { ...given, batch }));
  const known = [...read].filter((name) => name !== 'batch' && name !== 'dtype').sort();
  const stranger = asked.find((name) => !known.includes(name));
  if (stranger === undefined) return;
  const near = nearestName(stranger, known);
  const why = known.length ? `its entries read ${known.join(', ')}` : 'its entries read none';
  const beside = Object.hasOwn(OPTIONS, stranger) && `give ${stranger} beside options`;
  const fix = beside || (near ? `did you mean ${near}?` : 'leave it out, or correct the name');
  throw new DitcError({ code: 'argument', what: `compile: ${loaded.name} has no option "${stranger}"`, why, fix });
}

/** @throws DitcError `out-of-memory` when the batch does not fit, however much of it is computed again. */
function inMemoryOf(memory: number, batch: number, compiled: (size: number, most: number) => Compiled): Compiled {
  const within = (size: number) => compileWithin(memory, (most) => compiled(size, most));
  const asked = within(batch);
  const needs = (size: number) => needOf((size === batch ? asked : within(size)).artefact);
  checkMemory(memory, batch, needs, { memory: 'memory', batch: 'batch: ' });
  return asked;
}

const isModel = (model: unknown): model is Model => typeof model === 'object' && model !== null && 'entries' in model;

const pathOf = (path: string | URL): string => (path instanceof URL ? fileURLToPath(path) : path);

function check(name: string, value: unknown, isRight: boolean, wanted: string): void {
  if (isRight) return;
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  throw new DitcError({ code: 'argument', what: `compile: ${name} is ${shown}`, fix: `give ${wanted}` });
}
