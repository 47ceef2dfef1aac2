/**
 * ts-morph, loaded on first use: it carries a whole TypeScript (a third of a second to load), which commands that open no
 * model file should not pay for. `require`, not `import`, so that loading a model stays synchronous.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire, Module } from 'node:module';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import type * as TsMorph from 'ts-morph';
import { once } from '../ir/once.ts';

type Ts = typeof TsMorph.ts;

const require = createRequire(import.meta.url);

export const morph = once((): typeof TsMorph => {
  typescriptInside();
  return require('ts-morph') as typeof TsMorph;
});

/** Its TypeScript alone: who compiles files one by one needs no more, and the rest takes a tenth of a second. */
export const typescript = once((): Ts => typescriptInside() ?? morph().ts);

/**
 * Puts the TypeScript inside ts-morph into the module cache without going through `require`, which tsx hooks: it would
 * scan the 9 MB for ES module syntax, taking as long as the load itself. When the file is not where it was, ts-morph
 * loads it as usual.
 */
function typescriptInside(): Ts | undefined {
  const common = createRequire(require.resolve('ts-morph')).resolve('@ts-morph/common');
  const file = join(dirname(common), 'typescript.js');
  if (!require.cache[file] && existsSync(file)) load(file);
  return require.cache[file]?.exports as Ts | undefined;
}

function load(file: string): void {
  const module = new Module(file);
  module.filename = file;
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname'];
  const body = compileFunction(readFileSync(file, 'utf8'), parameters, { filename: file });
  body.call(module.exports, module.exports, createRequire(file), module, file, dirname(file));
  module.loaded = true;
  require.cache[file] = module;
}
