/** Opens a model file: checks it, type-checks it, instruments it, runs it, and returns the model it exports. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { checkName, DitcError } from '../ir/index.ts';
import type { Model } from '../dsl/index.ts';
import { beginCheck } from './check-thread.ts';
import { check, keptChecking, newChecking, unchecked, type Checking, type Keep, type Subject } from './checking.ts';
import type { Dependencies } from './dependencies.ts';
import { guardUnits, type Units } from './guard.ts';
import { displayPath, PACKAGE_ROOT, realPath, type DisplayBase } from './paths.ts';
import { ModuleRunner } from './run.ts';
import { remember } from './sources.ts';

export interface LoadOptions {
  /** What `source` and locations are relative to; the working directory unless told. */
  readonly cwd?: string;
  /** Skips the type check (the model still runs): for callers that have just checked the same file. */
  readonly typeCheck?: boolean;
  /** Where checked files are kept. */
  readonly keep?: Keep;
}

export interface LoadedModel {
  readonly model: Model;
  /** The model file's path as locations spell it: relative, with `/`. */
  readonly source: string;
  /** The stem of the file name: `dit-xl` of `models/dit-xl.ts`. */
  readonly name: string;
  /** The user's files that were read, as locations spell them, the model file first. */
  readonly files: readonly string[];
  /** The text of one of `files`. */
  sourceText(file: string): string | undefined;
  /** The checkpoint that comes with it: it is loaded unless another is given. */
  readonly weights?: string;
  /** The options that follow from the shapes of what it is to be given, by the inputs' names. */
  optionsFor?(shapes: ReadonlyMap<string, readonly number[]>): Readonly<Record<string, number>>;
  /** The compiled files, for mapping stack frames (guard). */
  readonly units: Units;
  /**
   * Returns when the file is known to be right: to be called before anything is written of it, or shown. The check may run beside
   * the compilation. @throws DitcError `type-error` or `condition`.
   */
  checked(): void;
}

/**
 * Loads a model file, from anywhere on disk. Throws a DitcError: `no-file`, `type-error` (all of them, as tsc prints
 * them), `import`, `model-crash`, `not-a-model`.
 */
export function loadModel(path: string, options: LoadOptions = {}): LoadedModel {
  const cwd = realPath(options.cwd ?? process.cwd(), process.cwd());
  const file = modelFile(path, cwd);
  const base: DisplayBase = { cwd, modelFolder: dirname(file) };
  const display = (name: string): string => remember(displayPath(name, base), name);
  const checking = checkOf({ file, cwd, display }, base, options);
  const runner = new ModuleRunner(checking.modules);
  const exports = whenRight(checking, () => guardUnits(runner.units, () => runner.load(file)));
  const units = [...runner.units.values()];
  const texts = new Map(units.map((unit) => [unit.display, unit.text]));
  return {
    model: whenRight(checking, () => asModel(exports, display(file), texts.get(display(file)) ?? '')),
    source: display(file),
    name: basename(file).replace(/\.ts$/, ''),
    files: [...texts.keys()],
    sourceText: (name) => texts.get(name),
    units: runner.units,
    checked: () => checking.checked(),
  };
}

/** The check of a file: as it was kept, begun in a thread, or done. */
function checkOf(subject: Subject, base: DisplayBase, { typeCheck = true, keep }: LoadOptions): Checking {
  if (!typeCheck) return unchecked(subject);
  const key = JSON.stringify([subject.file, base, PACKAGE_ROOT]);
  const before = keep?.read(key);
  return (
    keptChecking(subject, before) ??
    newChecking(subject, before, beginCheck(subject, base) ?? checkedHere(subject), (found) => keep?.write(key, found))
  );
}

function checkedHere(subject: Subject): () => Dependencies {
  const dependencies = check(subject);
  return () => dependencies;
}

/** What `run` gives. Where it fails, what the check finds comes first: it says more. */
function whenRight<T>(checking: Pick<Checking, 'checked'>, run: () => T): T {
  try {
    return run();
  } catch (error) {
    checking.checked();
    throw error;
  }
}

/** Runs code that calls into the model, such as tracing an entry, with errors placed in the user's files. */
export const guard = <T>(loaded: LoadedModel, run: () => T): T =>
  whenRight(loaded, () => guardUnits(loaded.units, run));

function modelFile(path: string, cwd: string): string {
  const file = realPath(path, cwd);
  const fail = (what: string, fix: string) => new DitcError({ code: 'no-file', where: path, what, fix });
  if (!existsSync(file)) {
    const asTs = existsSync(`${file}.ts`);
    throw fail(
      'there is no such file',
      asTs ? `did you mean ${path}.ts?` : `give the path of a model file, from ${cwd}`,
    );
  }
  if (statSync(file).isDirectory()) throw fail('it is a folder, not a model file', 'give the path of a .ts file in it');
  if (!file.endsWith('.ts') || file.endsWith('.d.ts')) {
    throw fail('a model file is TypeScript', 'give a file whose name ends in .ts');
  }
  readFileSync(file); // fails here, with the system's words, when it may not be read
  return file;
}

const EXAMPLE = 'export default defineModel({ config: {}, entries: { forward(e) { … } } })';

/** The default export as a model, or an error that says what it is instead. */
function asModel(exports: Record<string, unknown>, file: string, text: string): Model {
  const value = exports.default;
  const fail = (what: string, why: string | undefined, fix: string) =>
    new DitcError({ code: 'not-a-model', where: value === undefined ? file : exportPlace(file, text), what, why, fix });
  if (value === undefined) {
    const names = Object.keys(exports).filter((name) => name !== '__esModule' && name !== 'default');
    const why = names.length ? `it exports only ${names.join(', ')}` : 'it exports nothing';
    throw fail('the file has no default export', why, `add ${EXAMPLE}`);
  }
  if (typeof value === 'function') {
    const { name } = value as { name: string };
    const call = name && name !== 'default' ? `${name}({ … })` : 'it';
    throw fail('the default export is a function, not a model', undefined, `call it: export default ${call}`);
  }
  const entries = typeof value === 'object' && value !== null ? (value as Partial<Model>).entries : undefined;
  if (typeof entries !== 'object' || entries === null) {
    const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
    const why = kind.endsWith('object') ? 'it has no entries' : `it is ${kind}`;
    throw fail('the default export is not a model', why, `write ${EXAMPLE}`);
  }
  const names = Object.keys(entries);
  if (!names.length) throw fail('the model has no entries', undefined, 'give it one: entries: { forward(e) { … } }');
  const wrong = names.find((name) => typeof entries[name] !== 'function');
  if (wrong) throw fail(`the entry ${wrong} is not a function`, undefined, `write ${wrong}(e) { … }`);
  for (const name of names) checkName('entry', name, exportPlace(file, text));
  return value as Model;
}

function exportPlace(file: string, text: string): string {
  const before = text.split(/^export default\b/m);
  return before.length === 2 ? `${file}:${before[0].split('\n').length}:1` : file;
}
