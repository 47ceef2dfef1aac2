/** Runs a model file and what it imports: a small CommonJS loader in which the DSL is the compiler's own instance. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileFunction } from 'node:vm';
import { DitcError } from '../ir/index.ts';
import * as dsl from '../dsl/index.ts';
import { hooks } from './hooks.ts';
import { HOOK_NAMES } from './instrument.ts';
import { isSource, type Modules } from './modules.ts';
import { DSL_INDEX, isCompilerFile } from './paths.ts';
import { SCHEME, type Unit } from './unit.ts';

type Exports = Record<string, unknown>;

/** The DSL as compiled ES modules expect it. */
const dslExports: Exports = { ...dsl, __esModule: true };

export class ModuleRunner {
  /** What has run, by absolute path. */
  readonly units = new Map<string, Unit>();
  private readonly modules = new Map<string, { exports: Exports }>();
  private readonly source: Modules;

  constructor(source: Modules) {
    this.source = source;
  }

  /** Runs a file once and returns its exports; files that import each other see what is there so far, as in Node. */
  load(file: string): Exports {
    const known = this.modules.get(file);
    if (known) return known.exports;
    const unit = this.source.unit(file);
    this.units.set(file, unit);
    const module = { exports: {} as Exports };
    this.modules.set(file, module);
    const parameters = ['exports', 'require', 'module', ...Object.values(HOOK_NAMES)];
    const body = compileFunction(unit.code, parameters, { filename: SCHEME + file });
    const meta = { url: pathToFileURL(file).href, filename: file, dirname: dirname(file) };
    const require = (specifier: string) => this.import(specifier, unit);
    body.call(undefined, module.exports, require, module, hooks.at, hooks.bind, hooks.bindAll, meta);
    return module.exports;
  }

  private import(specifier: string, from: Unit): unknown {
    if (specifier.startsWith('node:')) return createRequire(from.file)(specifier);
    const file = this.source.resolve(specifier, from.file);
    if (!file) throw refused(from, specifier, 'there is no such file', 'check the path, and write the .ts');
    if (file === DSL_INDEX) return dslExports;
    if (isCompilerFile(file))
      throw refused(from, specifier, 'it is internal to the compiler', "import from 'ditc/dsl'");
    if (file.endsWith('.json')) return JSON.parse(readFileSync(file, 'utf8'));
    if (isSource(file)) return this.load(file);
    const fix = "import TypeScript files by path, 'ditc/dsl', 'ditc/models/…' or 'node:…'";
    throw refused(from, specifier, 'it is not TypeScript source', fix);
  }
}

function refused(from: Unit, specifier: string, why: string, fix: string): DitcError {
  const before = from.text.slice(0, Math.max(0, from.text.search(quoted(specifier)))).split('\n');
  const where = `${from.display}:${before.length}:${before[before.length - 1].length + 1}`;
  return new DitcError({ code: 'import', where, what: `a model file cannot import '${specifier}'`, why, fix });
}

const quoted = (text: string): RegExp => new RegExp(`(['"])${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\1`);
