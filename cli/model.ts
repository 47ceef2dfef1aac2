/** Model files on their way through the compiler, what is under way shown on a terminal. */
import type { Artefact } from '../compiler/emit/artefact.ts';
import * as library from '../library/model.ts';
import type { Compiled, LoadedModel, Watch } from '../library/model.ts';
import { phase } from './progress.ts';
import type { Terminal } from './terminal.ts';

export { checkEntry, compilationRecord, homeOf, inMemory, isOnnx, notesOn, signatureOf } from '../library/model.ts';
export type { Compiled, LoadedModel } from '../library/model.ts';

export interface CompileOptions extends Omit<library.CompileOptions, 'watch'> {
  readonly terminal?: Terminal;
}

const watching = (terminal: Terminal): Watch => ({
  phase: (name, work) => phase(terminal, name, work),
  note: (text) => terminal.err(`note: ${text}`),
});

const watched = ({ terminal, ...options }: CompileOptions): library.CompileOptions => ({
  ...options,
  ...(terminal && { watch: watching(terminal) }),
});

export const loadModel = (path: string, terminal?: Terminal): LoadedModel =>
  library.loadModel(path, terminal && watching(terminal));

export const compile = (loaded: LoadedModel, options: CompileOptions): Compiled =>
  library.compile(loaded, watched(options));

export const compileArtefact = (loaded: LoadedModel, options: CompileOptions): Artefact =>
  library.compileArtefact(loaded, watched(options));

export const compiledOnce = <T>(
  kind: string,
  loaded: LoadedModel,
  options: CompileOptions,
  more: unknown,
  make: (compiled: Compiled) => T,
): T => library.compiledOnce(kind, loaded, watched(options), more, make);
