/** What the verdict on a model file depends on, so that it is known when it may be taken again. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { ts } from 'ts-morph';
import { typescript } from './morph.ts';
import { isCompilerFile } from './paths.ts';
import { compilerOptions, type OpenedModel } from './project.ts';

export interface Dependencies {
  /** Files that were read, each with the digest of its text. */
  readonly files: readonly (readonly [file: string, digest: string])[];
  /** Files that would have been read instead, had they been there. */
  readonly absent: readonly string[];
}

/** What the files of an opened model and their imports are. The compiler's own files are known by other means. */
export function dependenciesOf({ program }: OpenedModel): Dependencies {
  const ts = typescript();
  const files = new Map<string, string>();
  const absent = new Set<string>();
  const options = compilerOptions();
  for (const source of program.getSourceFiles()) {
    if (isCompilerFile(source.fileName) || program.isSourceFileDefaultLibrary(source)) continue;
    if (existsSync(source.fileName)) files.set(source.fileName, digestOf(source.text));
    for (const { fileName } of ts.preProcessFile(source.text, true, true).importedFiles) {
      if (fileName.startsWith('node:')) continue;
      const found: Resolution = ts.resolveModuleName(fileName, source.fileName, options, ts.sys);
      for (const file of found.failedLookupLocations ?? []) if (!existsSync(file)) absent.add(file);
      for (const file of found.affectingLocations ?? []) if (existsSync(file)) files.set(file, digestOf(textOf(file)));
    }
  }
  return { files: [...files], absent: [...absent] };
}

/** TypeScript keeps these to itself. */
type Resolution = ts.ResolvedModuleWithFailedLookupLocations & {
  readonly failedLookupLocations?: readonly string[];
  readonly affectingLocations?: readonly string[];
};

/** Whether all of it is as it was. */
export function areUnchanged({ files, absent }: Dependencies): boolean {
  try {
    return (
      files.every(([file, digest]) => digestOf(textOf(file)) === digest) && !absent.some((file) => existsSync(file))
    );
  } catch {
    return false; // one is gone
  }
}

/** Whether a file was read with this text. */
export const isAsRead = ({ files }: Dependencies, file: string, text: string): boolean =>
  files.some(([name, digest]) => name === file && digest === digestOf(text));

const textOf = (file: string): string => readFileSync(file, 'utf8');

/** Of a text without the mark that some editors put before it, as TypeScript reads it. */
const digestOf = (text: string): string =>
  createHash('sha256')
    .update(text.replace(/^\uFEFF/, ''))
    .digest('hex');
