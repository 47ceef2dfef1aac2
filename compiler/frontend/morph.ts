/**
 * ts-morph, loaded on first use: it carries a whole TypeScript (a third of a second to load), which commands that open no
 * model file should not pay for. `require`, not `import`, so that loading a model stays synchronous.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire, Module } from 'node:module';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import type * as TsMorph from 'ts-morph';

const require = createRequire(import.meta.url);
let loaded: typeof TsMorph | undefined;

export function morph(): typeof TsMorph {
  if (!loaded) {
    preloadTypeScript();
    loaded = require('ts-morph') as typeof TsMorph;
  }
  return loaded;
}

/**
 * Puts the TypeScript inside ts-morph into the module cache without going through `require`, which tsx hooks: it would
 * scan the 9 MB for ES module syntax, taking as long as the load itself. When the file is not where it was, ts-morph
 * loads it as usual.
 */
function preloadTypeScript(): void {
  const common = createRequire(require.resolve('ts-morph')).resolve('@ts-morph/common');
  const file = join(dirname(common), 'typescript.js');
  if (require.cache[file] || !existsSync(file)) return;
  const module = new Module(file);
  module.filename = file;
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname'];
  const body = compileFunction(readFileSync(file, 'utf8'), parameters, { filename: file });
  body.call(module.exports, module.exports, createRequire(file), module, file, dirname(file));
  module.loaded = true;
  require.cache[file] = module;
}
