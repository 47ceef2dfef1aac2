/**
 * Which tests open a device, and on how many adapters they must run. Found by what they import, so that no list goes stale, or by
 * a tag in their first comment.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

export interface TestFiles {
  /** May open the machine's device: what they see changes from adapter to adapter, so the gate runs them on each. */
  readonly device: string[];
  /**
   * Want a device, but the same on every machine: the executor that runs kernels in this process. Or the machine's, whichever it
   * is: what they hold is about files, words, signals, pages. Once is enough.
   */
  readonly once: string[];
  /** All others. */
  readonly host: string[];
}

/** A device comes from this package alone. */
const PACKAGE = 'webgpu';
/** Opens Dawn's null backend only, which computes nothing and is the same everywhere. */
const NULL_BACKEND = 'test/helpers/shader-check.ts';
const EXECUTOR = 'test/helpers/run-kernel.ts';

/** ` * @device`: opens one in a child process. ` * @once`: what is held hangs on no adapter. */
const TAG = /^ \* @(device|once)$/m;

const IMPORT = /\b(?:from|import)\s*\(?\s*'([^']+)'/g;
const TYPES = /\b(?:import|export) type\b[^;]*;/g;

/** Test files below `root`/test, by their paths from `root`. */
export function testFiles(root: string): TestFiles {
  const below = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  const files = below.filter((file) => file.endsWith('.test.ts')).map((file) => join(root, 'test', file));
  const importers = importersOf(files);
  const opens = reaching(PACKAGE, importers, join(root, NULL_BACKEND));
  const executes = reaching(join(root, EXECUTOR), importers);
  const kindOf = (file: string): keyof TestFiles => {
    const [, tag] = TAG.exec(readFileSync(file, 'utf8')) ?? [];
    if (tag) return tag as keyof TestFiles;
    if (opens.has(file)) return 'device';
    return executes.has(file) ? 'once' : 'host';
  };
  const kinds = files.map((file) => ({ file: relative(root, file), kind: kindOf(file) }));
  const of = (wanted: keyof TestFiles) => kinds.flatMap(({ file, kind }) => (kind === wanted ? [file] : [])).sort();
  return { device: of('device'), once: of('once'), host: of('host') };
}

/** All that lead to a file or package, but by way of `but`. */
function reaching(target: string, importers: ReadonlyMap<string, readonly string[]>, but?: string): Set<string> {
  const reached = new Set([target]);
  for (const file of reached)
    for (const importer of importers.get(file) ?? []) if (importer !== but) reached.add(importer);
  return reached;
}

/** Who imports a file or package, of all files that the given ones lead to. */
function importersOf(files: readonly string[]): Map<string, string[]> {
  const importers = new Map<string, string[]>();
  const seen = new Set(files);
  for (const file of seen) {
    for (const imported of importsOf(file)) {
      importers.set(imported, [...(importers.get(imported) ?? []), file]);
      if (imported.endsWith('.ts') && existsSync(imported)) seen.add(imported);
    }
  }
  return importers;
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(TYPES, '');
  return [...text.matchAll(IMPORT)].map(([, path]) => (path.startsWith('.') ? resolve(dirname(file), path) : path));
}
