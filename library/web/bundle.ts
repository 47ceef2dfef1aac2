/** What a page runs, as ES modules: bundled when ditc was packed (build.mjs), from the sources in the repository. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** By the name of the bundle, the source: runtime/web/. */
const SOURCES = { runtime: 'index.ts', training: 'training.ts' } as const;

interface Bundler {
  bundleRuntime(entry: string): Promise<string>;
}

export async function bundled(name: keyof typeof SOURCES): Promise<string> {
  const packed = new URL(`./${name}.js`, import.meta.url);
  if (existsSync(packed)) return readFileSync(packed, 'utf8');
  // By its URL: what is packed does without it.
  const { bundleRuntime } = (await import(new URL('./esbuild.mjs', import.meta.url).href)) as Bundler;
  return bundleRuntime(fileURLToPath(new URL(`../../runtime/web/${SOURCES[name]}`, import.meta.url)));
}
