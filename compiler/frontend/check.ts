/** Type errors of a model file, in the words and the form of `tsc`. */
import type { ts } from 'ts-morph';
import * as functions from '../dsl/functions.ts';
import { DitcError } from '../ir/index.ts';
import { typescript } from './morph.ts';
import type { OpenedModel } from './project.ts';
import { fixOfStep } from './step-result.ts';

/** All type errors of a model file and of what it imports. */
export class ModelTypeError extends DitcError {
  /** What `tsc --pretty` prints, with its colours. */
  readonly pretty: string;
  readonly count: number;

  constructor(where: string | undefined, count: number, plain: string, pretty: string, fix?: string) {
    super({ code: 'type-error', where, what: count === 1 ? 'type error' : `${count} type errors`, why: plain, fix });
    this.pretty = pretty;
    this.count = count;
  }
}

/** Throws a ModelTypeError when the opened files have errors. As tsc does, syntax errors hide type errors. */
export function checkTypes({ program, sources }: OpenedModel, cwd: string, display: (file: string) => string): void {
  const ts = typescript();
  const syntax = sources.flatMap((source) => program.getSyntacticDiagnostics(source));
  const found: readonly ts.Diagnostic[] = syntax.length
    ? syntax
    : sources.flatMap((source) => program.getSemanticDiagnostics(source));
  const errors = ts.sortAndDeduplicateDiagnostics(found.filter((d) => d.category === ts.DiagnosticCategory.Error));
  if (!errors.length) return;
  const host: ts.FormatDiagnosticsHost = {
    getCurrentDirectory: () => cwd,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  };
  const pretty = ts.formatDiagnosticsWithColorAndContext(errors, host).trimEnd();
  const plain = stripColor(pretty)
    .split('\n')
    .filter((line) => / - error TS\d+: /.test(line));
  throw new ModelTypeError(placeOf(errors[0], display), errors.length, plain.join('\n'), pretty, fixOf(errors));
}

/** TypeScript's number for a property that a type does not have. */
const NO_PROPERTY = 2339;

/** What to write instead, for the mistakes that are of ditc rather than of TypeScript. */
function fixOf(errors: readonly ts.Diagnostic[]): string | undefined {
  for (const error of errors) {
    const fix = fixOfMethod(error) ?? fixOfStep(error);
    if (fix) return fix;
  }
  return undefined;
}

/** Where a function of the DSL is called as a method of a tensor. */
function fixOfMethod({ code, messageText }: ts.Diagnostic): string | undefined {
  const name = code === NO_PROPERTY && /^Property '(\w+)' .* type 'Tensor'/.exec(String(messageText))?.[1];
  return name && Object.hasOwn(functions, name)
    ? `${name} is a function: import it from 'ditc/dsl' and write ${name}(x)`
    : undefined;
}

export function placeOf(
  { file, start }: Pick<ts.Diagnostic, 'file' | 'start'>,
  display: (file: string) => string,
): string | undefined {
  if (!file || start === undefined) return undefined;
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  return `${display(file.fileName)}:${line + 1}:${character + 1}`;
}

/** Without the escape sequences that set colours. */
export const stripColor = (text: string): string => text.replace(/\x1b\[\d+m/g, '');
