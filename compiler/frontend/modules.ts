/** Where code that runs finds the files it imports: compiled as they are asked for, or prepared before. */
import { readFileSync } from 'node:fs';
import { DSL_INDEX, isCompilerFile } from './paths.ts';
import { moduleResolver } from './project.ts';
import { compileUnit, type Unit } from './unit.ts';

export interface Modules {
  /** The file that an import names. */
  resolve(specifier: string, from: string): string | undefined;
  /** The file, ready to run. */
  unit(file: string): Unit;
}

/** A model file and all that it imports, ready to run: what their text alone decides. */
export interface Prepared {
  /** The model file first. */
  readonly units: readonly Unit[];
  /** The file that each import names, by the importing file and the specifier. */
  readonly imports: ReadonlyMap<string, string | undefined>;
}

/** Whether an imported file is code of the user's. */
export const isSource = (file: string): boolean =>
  /\.[cm]?ts$/.test(file) && !/\.d\.[cm]?ts$/.test(file) && file !== DSL_INDEX && !isCompilerFile(file);

/** By TypeScript, file by file. `display` names files in locations. */
export function compiledModules(display: (file: string) => string): Modules {
  return { resolve: moduleResolver(), unit: (file) => compileUnit(file, readFileSync(file, 'utf8'), display(file)) };
}

/** Everything that a model file imports, as far as its text shows. */
export function prepare(file: string, modules: Modules): Prepared {
  const units = new Map<string, Unit>();
  const imports = new Map<string, string | undefined>();
  const add = (source: string) => {
    if (units.has(source)) return;
    const unit = modules.unit(source);
    units.set(source, unit);
    for (const specifier of specifiersOf(unit)) {
      const found = modules.resolve(specifier, source);
      imports.set(importKey(specifier, source), found);
      if (found !== undefined && isSource(found)) add(found);
    }
  };
  add(file);
  return { units: [...units.values()], imports };
}

/** What was prepared; what was not, as an import whose name is computed, by way of `others`. */
export function preparedModules({ units, imports }: Prepared, others: () => Modules): Modules {
  const known = new Map(units.map((unit) => [unit.file, unit]));
  let asked: Modules | undefined;
  const more = () => (asked ??= others());
  return {
    resolve(specifier, from) {
      const key = importKey(specifier, from);
      return imports.has(key) ? imports.get(key) : more().resolve(specifier, from);
    },
    unit: (file) => known.get(file) ?? more().unit(file),
  };
}

const importKey = (specifier: string, from: string): string => `${from}\n${specifier}`;

/** The imports of compiled code, of Node's own modules apart. */
function specifiersOf({ code }: Unit): string[] {
  const found = [...code.matchAll(/\brequire\((["'])(.+?)\1\)/g)].map(([, , specifier]) => specifier);
  return found.filter((specifier) => !specifier.startsWith('node:'));
}
