#!/usr/bin/env node
/** The `ditc` command: from the TypeScript sources in the repository (from-sources.mjs), from what was built of them where it is installed. */
const [major] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`ditc needs Node 20 or newer; this is ${process.version}`);
  process.exit(1);
}
// Where Node has it (22.1), compiled code is kept between runs: TypeScript alone is 9 MB of it.
(await import('node:module')).enableCompileCache?.();
const { existsSync } = await import('node:fs');
const fromSources = existsSync(new URL('./main.ts', import.meta.url));
if (fromSources && process.env.DITC_DEBUG) process.setSourceMapsEnabled(true);
const { main } = fromSources
  ? await (await import('./from-sources.mjs')).importSources()
  : await import('../dist/cli/main.js');
process.exitCode = await main(process.argv.slice(2));
