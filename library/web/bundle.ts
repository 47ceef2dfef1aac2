/** The runtime as one ES module: bundled when ditc was packed (build.mjs), from the sources in the repository. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PACKED = new URL('./runtime.js', import.meta.url);
const SOURCE = new URL('../../runtime/web/index.ts', import.meta.url);

interface Bundler {
  bundleRuntime(entry: string): Promise<string>;
}

export async function bundledRuntime(): Promise<string> {
  if (existsSync(PACKED)) return readFileSync(PACKED, 'utf8');
  // By its URL: what is packed does without it.
  const { bundleRuntime } = (await import(new URL('./esbuild.mjs', import.meta.url).href)) as Bundler;
  return bundleRuntime(fileURLToPath(SOURCE));
}
