/**
 * The check of a model file beside the code that runs. It takes a second, most of it TypeScript's own start: so it has a thread of its
 * own where that can be, and what it found right is kept.
 */
import { checkTypes } from './check.ts';
import { checkConditions } from './conditions.ts';
import { areUnchanged, dependenciesOf, isAsRead, type Dependencies } from './dependencies.ts';
import { askedModules, compiledModules, NotedModules, type Asked, type Modules } from './modules.ts';
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

/** A model file that was found right, with all that running it asked for. */
export interface Kept extends Asked {
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

/** Not at all. */
export const unchecked = ({ display }: Subject): Checking => ({ modules: compiledModules(display), checked() {} });

/** As kept, when nothing has changed. */
export function keptChecking({ display }: Subject, kept: Kept | undefined): Checking | undefined {
  if (!kept || !areUnchanged(kept.dependencies)) return undefined;
  for (const { file } of kept.units) display(file);
  return { modules: askedModules(kept, compiledModules(display)), checked() {} };
}

/** With a verdict that comes when it is asked for; the code of files that have not changed since `before` is compiled no more. */
export function newChecking(
  { display }: Subject,
  before: Kept | undefined,
  verdict: () => Dependencies,
  keep: (kept: Kept) => void,
): Checking {
  const modules = new NotedModules(compiledModules(display, before?.units));
  let isRight = false;
  const checked = () => {
    if (isRight) return;
    const dependencies = verdict();
    isRight = true;
    const { units, imports } = modules;
    // Unless a file changed between the reading of its code and its check.
    if (units.every(({ file, text }) => isAsRead(dependencies, file, text))) keep({ units, imports, dependencies });
  };
  return { modules, checked };
}
