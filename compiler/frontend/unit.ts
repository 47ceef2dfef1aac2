/** One user file made runnable: instrumented, without types, as the body of a CommonJS function, with its source map. */
import { originalPositionFor, TraceMap } from '@jridgewell/trace-mapping';
import { instrument } from './instrument.ts';
import { typescript } from './morph.ts';

export interface Unit {
  readonly file: string;
  /** Its name in locations. */
  readonly display: string;
  readonly text: string;
  readonly code: string;
  readonly sourceMap: string;
}

/** Files run under this scheme, so that no other source-map support (tsx's, vitest's) takes their frames for its own. */
export const SCHEME = 'ditc:';

export function compileUnit(file: string, text: string, display: string): Unit {
  const ts = typescript();
  const { outputText, sourceMapText } = ts.transpileModule(text, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
      isolatedModules: true,
      sourceMap: true,
    },
    transformers: { before: [instrument(display)] },
  });
  const code = outputText.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  return { file, display, text, code, sourceMap: sourceMapText ?? '' };
}

/** `file:line:col` in the source, for a 1-based place in the unit's code. */
export function originalPlace(unit: Unit, line: number, column: number): string {
  const found = originalPositionFor(new TraceMap(unit.sourceMap), { line, column: Math.max(0, column - 1) });
  if (found.line === null) return unit.display;
  return `${unit.display}:${found.line}:${nameStart(unit.text.split('\n')[found.line - 1] ?? '', found.column) + 1}`;
}

/** The engine points at the parenthesis of some calls; locations point at the name before it. */
function nameStart(text: string, column: number): number {
  return text[column] === '(' ? column - /[\w$]*$/.exec(text.slice(0, column))![0].length : column;
}
