/**
 * The check of a model file, and its code. The check takes a second, most of it TypeScript's own start: it runs in a thread beside the compilation where there
 * is one, and what it found is kept.
 */
import { checkTypes } from './check.ts';
import { checkConditions } from './conditions.ts';
import { areUnchanged, dependenciesOf, isAsRead, type Dependencies } from './dependencies.ts';
import { compiledModules, prepare, preparedModules, type Modules, type Prepared } from './modules.ts';
import { withModelProgram } from './project.ts';

/** A file to be checked: its absolute path, and how files are called in locations. */
export interface Subject {
  readonly file: string;
  readonly cwd: string;
  readonly display: (file: string) => string;
}

export interface Checking {
  readonly modules: Modules;
  /** Returns when the file is known to be right. @throws ModelTypeError, or DitcError `condition`. */
  checked(): void;
}

/** A model file that was found right, with all that running it needs. */
export interface Kept {
  readonly prepared: Prepared;
  readonly dependencies: Dependencies;
}

/** Where what was found right is kept, by keys that carry everything but the files' content. */
export interface Keep {
  read(key: string): Kept | undefined;
  write(key: string, kept: Kept): void;
}

/** All errors of types, then the tensors that decide something. @throws as {@link Checking.checked}. */
export function check({ file, cwd, display }: Subject): Dependencies {
  return withModelProgram(file, (opened) => {
    checkTypes(opened, cwd, display);
    checkConditions(opened, display);
    return dependenciesOf(opened);
  });
}

/** As kept, when nothing has changed. */
export function keptChecking(subject: Subject, kept: Kept | undefined): Checking | undefined {
  if (!kept || !areUnchanged(kept.dependencies)) return undefined;
  for (const { file } of kept.prepared.units) subject.display(file);
  return { modules: preparedModules(kept.prepared, () => compiledModules(subject.display)), checked() {} };
}

/** Keeps what was found, unless a file changed between the reading of its code and its check. */
export function keepIfSame(found: Kept, keep: (kept: Kept) => void): void {
  if (found.prepared.units.every(({ file, text }) => isAsRead(found.dependencies, file, text))) keep(found);
}

/** At once, in this thread. */
export function checkHere(subject: Subject, keep: (kept: Kept) => void): Checking {
  const dependencies = check(subject);
  const modules = compiledModules(subject.display);
  const prepared = prepare(subject.file, modules);
  keepIfSame({ prepared, dependencies }, keep);
  return { modules: preparedModules(prepared, () => modules), checked() {} };
}

/** Not at all. */
export const unchecked = ({ display }: Subject): Checking => ({ modules: compiledModules(display), checked() {} });
