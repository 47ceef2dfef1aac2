/** Where code that runs finds the files it imports: compiled as they are asked for, or as they were when it ran before. */
import { readFileSync } from 'node:fs';
import { DSL_INDEX, isCompilerFile } from './paths.ts';
import { moduleResolver, type Resolver } from './project.ts';
import { compileUnit, type Unit } from './unit.ts';

export interface Modules {
  /** The file that an import names. */
  resolve(specifier: string, from: string): string | undefined;
  /** The file, ready to run. */
  unit(file: string): Unit;
}

/** Whether an imported file is code of the user's. */
export const isSource = (file: string): boolean =>
  /\.[cm]?ts$/.test(file) && !/\.d\.[cm]?ts$/.test(file) && file !== DSL_INDEX && !isCompilerFile(file);

/** By TypeScript, file by file; those of `known` that have the same text are taken as they are. `display` names files in locations. */
export function compiledModules(display: (file: string) => string, known: readonly Unit[] = []): Modules {
  let resolver: Resolver | undefined;
  return {
    resolve: (specifier, from) => (resolver ??= moduleResolver())(specifier, from),
    unit(file) {
      const text = readFileSync(file, 'utf8');
      const shown = display(file);
      return known.find((unit) => unit.file === file && unit.text === text) ?? compileUnit(file, text, shown);
    },
  };
}

/** What running a model file asked for. */
export interface Asked {
  readonly units: readonly Unit[];
  /** The file that each import names, by the importing file and the specifier. */
  readonly imports: ReadonlyMap<string, string | undefined>;
}

/** Modules that note what they are asked. */
export class NotedModules implements Modules, Asked {
  readonly imports = new Map<string, string | undefined>();
  private readonly found = new Map<string, Unit>();
  private readonly modules: Modules;

  constructor(modules: Modules) {
    this.modules = modules;
  }

  get units(): readonly Unit[] {
    return [...this.found.values()];
  }

  resolve(specifier: string, from: string): string | undefined {
    const file = this.modules.resolve(specifier, from);
    this.imports.set(importKey(specifier, from), file);
    return file;
  }

  unit(file: string): Unit {
    const unit = this.modules.unit(file);
    this.found.set(file, unit);
    return unit;
  }
}

/** What was asked for before; anything else by way of `others`. */
export function askedModules({ units, imports }: Asked, others: Modules): Modules {
  const known = new Map(units.map((unit) => [unit.file, unit]));
  return {
    resolve(specifier, from) {
      const key = importKey(specifier, from);
      return imports.has(key) ? imports.get(key) : others.resolve(specifier, from);
    },
    unit: (file) => known.get(file) ?? others.unit(file),
  };
}

const importKey = (specifier: string, from: string): string => `${from}\n${specifier}`;
