/**
 * Who may import whom (compiler/README.md), read from the sources:
 * `ir ← ops ← {dsl, autodiff, rewrite, kernel} ← plans ← fusion ← memory ← recompute ← emit ← report ← {run-passes, plan-kernels} ← pipeline ← compile ← frontend`, models only the DSL,
 * the runtime only the artefact's types and nothing of Node outside runtime/node/. And files stay small.
 */
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cyclesIn, filesUnder, importGraph, importsIn, importsOf, ROOT, type Import } from './helpers/imports.ts';

const MAX_LINES = 350;

/** Each folder may import those of the rows above it, and itself; folders of one row do not know each other. */
const ORDER = [
  ['ir', 'specs'],
  ['ops', 'device.ts'],
  ['dsl', 'autodiff', 'rewrite', 'kernel'],
  ['target'],
  ['plans'],
  ['fusion'],
  ['memory'],
  ['recompute'],
  ['emit'],
  ['report', 'options.ts'],
  ['run-passes.ts', 'plan-kernels.ts'],
  ['pipeline.ts'],
  ['compile.ts'],
  ['opt.ts'],
  ['frontend'],
];
const rank = (part: string) => ORDER.findIndex((row) => row.includes(part));

const builtin = (to: string) => to.startsWith('node:') || builtinModules.includes(to);
const OURS = /^(compiler|runtime|models|cli|library|test|codegen-out|docs|bench)\//;

/** Why an import is wrong, or undefined. */
function wrong({ from, to, typeOnly }: Import): string | undefined {
  const ours = OURS.test(to);
  if (!ours && to.startsWith('..')) return 'leaves the repository';
  if (from.startsWith('compiler/')) return ours ? wrongInCompiler(from, to) : undefined;
  if (from.startsWith('models/')) return wrongInModels(to);
  if (from.startsWith('runtime/')) return wrongInRuntime(from, to, typeOnly);
  if (from.startsWith('library/') && to.startsWith('cli/')) return 'the commands use the library, not it them';
  return ours && /^(test|bench)\//.test(to) ? 'the command line imports no tests' : undefined;
}

function wrongInCompiler(from: string, to: string): string | undefined {
  if (!to.startsWith('compiler/')) return 'the compiler imports only itself and packages';
  const [a, b] = [from, to].map((path) => path.split('/')[1]);
  const unplaced = [a, b].find((part) => rank(part) < 0);
  if (unplaced) return `compiler/${unplaced} has no place in the order`;
  // What a plan is for is a fusion group.
  const isGroup = a === 'plans' && ['compiler/fusion/group.ts', 'compiler/fusion/regions.ts'].includes(to);
  return a === b || isGroup || rank(b) < rank(a) ? undefined : `${a} may not import ${b}`;
}

function wrongInModels(to: string): string | undefined {
  const allowed = to.startsWith('compiler/dsl/') || to.startsWith('models/');
  return allowed ? undefined : 'models import only compiler/dsl and other models';
}

function wrongInRuntime(from: string, to: string, typeOnly: boolean): string | undefined {
  if (to === 'compiler/emit/artefact.ts' || to === 'compiler/device.ts') {
    return typeOnly ? undefined : 'the runtime imports only types of the compiler; write `import type`';
  }
  if (OURS.test(to) && !to.startsWith('runtime/'))
    return 'the runtime imports only itself, the artefact types and the device types';
  if (from.startsWith('runtime/node/')) return undefined;
  if (builtin(to)) return 'Node built-ins belong in runtime/node/: the runtime serves a page too';
  if (to.startsWith('runtime/node/') && !typeOnly) return 'a page cannot load runtime/node/';
  return undefined;
}

const describeWrong = (i: Import): string | undefined => {
  const why = wrong(i);
  return why && `${i.from}:${i.line}: ${i.to}: ${why}`;
};

describe('imports', () => {
  for (const folder of ['compiler', 'runtime', 'models', 'cli', 'library']) {
    it(`of ${folder}/ run one way`, () => {
      const all = filesUnder(folder, /\.(ts|mjs|js)$/).flatMap((file) => importsOf(file));
      expect(all.map(describeWrong).filter(Boolean)).toEqual([]);
    });
  }

  it('of the compiler are found at all', () => {
    expect(importsOf('compiler/ops/define.ts').map((i) => i.to)).toContain('compiler/ir/index.ts');
  });

  it.each([
    ['compiler/ir/x.ts', `import { a } from '../ops/index.ts'`, 'ir may not import ops'],
    ['compiler/dsl/x.ts', `import type { a } from '../autodiff/index.ts'`, 'dsl may not import autodiff'],
    ['compiler/plans/x.ts', `export * from '../fusion/stored.ts'`, 'plans may not import fusion'],
    ['compiler/emit/x.ts', `const a = await import('../pipeline.ts')`, 'emit may not import pipeline.ts'],
    ['compiler/emit/x.ts', `import '../../runtime/device.ts'`, 'only itself and packages'],
    ['compiler/new/x.ts', `import '../ir/index.ts'`, 'compiler/new has no place'],
    ['compiler/emit/x.ts', `import '../../../elsewhere.ts'`, 'leaves the repository'],
    ['library/x.ts', `import { a } from '../cli/errors.ts'`, 'not it them'],
    ['models/x.ts', `import { a } from '../compiler/ops/index.ts'`, 'only compiler/dsl'],
    ['models/x.ts', `import fs from 'node:fs'`, 'only compiler/dsl'],
    ['runtime/x.ts', `import { a } from '../compiler/emit/artefact.ts'`, 'import type'],
    ['runtime/x.ts', `import { type A, b } from '../compiler/emit/artefact.ts'`, 'import type'],
    ['runtime/x.ts', `import type { A } from '../compiler/ir/index.ts'`, 'only itself'],
    ['runtime/x.ts', `import { readFile } from 'fs/promises'`, 'runtime/node/'],
    ['runtime/checkpoint/x.ts', `import { a } from '../node/file.ts'`, 'a page cannot'],
  ])('%s: %s is wrong', (file, text, why) => {
    expect(importsIn(file, text).map(wrong)[0]).toContain(why);
  });

  it.each([
    ['compiler/emit/x.ts', `import { a } from '../dsl/index.ts'`],
    ['compiler/frontend/x.ts', `import { a } from '../pipeline.ts'; import { Project } from 'ts-morph'`],
    ['compiler/plans/row/x.ts', `import { a } from '../../kernel/ir.ts'`],
    ['models/x.ts', `import { a } from 'ditc'; import { dit } from './dit.ts'; import { b } from 'ditc/models/dit'`],
    ['runtime/x.ts', `import type { A } from '../compiler/emit/artefact.ts'`],
    ['runtime/x.ts', `import { type A } from '../compiler/emit/artefact.ts'`],
    ['runtime/node/x.ts', `import { readFile } from 'node:fs/promises'; import { a } from '../device.ts'`],
    ['cli/x.ts', `import { a } from '../compiler/ir/index.ts'; import { b } from '../runtime/device.ts'`],
  ])('%s: %s is right', (file, text) => {
    expect(importsIn(file, text).map(wrong).filter(Boolean)).toEqual([]);
  });
});

describe('files import each other in no circle, types included', () => {
  it.each(['compiler', 'runtime', 'models', 'cli', 'library'])('%s/', (folder) => {
    const ways = cyclesIn(importGraph(filesUnder(folder, /\.(ts|mjs|js)$/)));
    expect(ways.map((way) => way.join(' → '))).toEqual([]);
  });

  it('which would be found', () => {
    const files = { a: ['b', 'c'], b: [], c: ['d', 'elsewhere'], d: ['c'], e: ['e'] };
    expect(cyclesIn(new Map(Object.entries(files)))).toEqual([['c', 'd', 'c'], ['e', 'e']]); // prettier-ignore
  });
});

it(`no file is longer than ${MAX_LINES} lines`, () => {
  const files = ['compiler', 'runtime', 'models', 'cli', 'library', 'test'].flatMap((folder) =>
    filesUnder(folder, /\.(ts|mjs|js|py|rules)$/),
  );
  const lines = (file: string) => readFileSync(join(ROOT, file), 'utf8').trimEnd().split('\n').length;
  const long = files.map((file) => [file, lines(file)] as const).filter(([, n]) => n > MAX_LINES);
  expect(long).toEqual([]);
});
