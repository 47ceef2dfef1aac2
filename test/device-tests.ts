/**
 * Which tests can open a device: what they see changes from adapter to adapter, so the gate runs them on each. Found by what
 * they import, so that no list goes stale, or by their tag.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** A device comes from this package alone. */
const PACKAGE = 'webgpu';
/** Says that a test opens one in a child process. */
const TAG = /^ \* @device$/m;

const IMPORT = /\b(?:from|import)\s*\(?\s*'([^']+)'/g;
const TYPES = /\b(?:import|export) type\b[^;]*;/g;

/** Test files below `root`/test, by their paths from `root`: those that can open a device, and the others. */
export function testFiles(root: string): { device: string[]; host: string[] } {
  const below = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  const files = below.filter((file) => file.endsWith('.test.ts')).map((file) => join(root, 'test', file));
  const importers = importersOf(files);
  const reaching = new Set<string>();
  const queue = [PACKAGE];
  for (const file of queue) {
    if (reaching.has(file)) continue;
    reaching.add(file);
    queue.push(...(importers.get(file) ?? []));
  }
  const opens = (file: string) => reaching.has(file) || TAG.test(readFileSync(file, 'utf8'));
  const named = (wanted: boolean) =>
    files.flatMap((file) => (opens(file) === wanted ? [relative(root, file)] : [])).sort();
  return { device: named(true), host: named(false) };
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
