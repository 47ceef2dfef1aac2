#!/usr/bin/env node
/** The `ditc` command: plain JavaScript that lets Node load the TypeScript sources, here or installed in node_modules. */
const [major] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`ditc needs Node 20 or newer; this is ${process.version}`);
  process.exit(1);
}
// Where Node has it (22.1), compiled code is kept between runs: TypeScript alone is 9 MB of it.
(await import('node:module')).enableCompileCache?.();
const { register } = await import('tsx/esm/api');
// Without this, a tsconfig.json in the user's folder would decide how ditc's own sources are read.
register({ tsconfig: false });
const { main } = await import('./main.ts');
process.exitCode = await main(process.argv.slice(2));
