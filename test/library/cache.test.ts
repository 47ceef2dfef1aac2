/**
 * What programs compile is kept, and found again.
 * @once
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { defineModel, type Model } from '../../compiler/dsl/index.ts';
import { compile } from '../../library/compiler.ts';
import { widthModel } from '../cli/models.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';

const folder = scratchFolder();
let cache: string;
beforeEach(() => {
  cache = folder({ sentinel: '' });
  vi.stubEnv('DITC_CACHE', cache);
  return () => vi.unstubAllEnvs();
});

/** What is kept, and when it was written. */
const kept = () =>
  readdirSync(join(cache, 'compiled')).map((name) => [name, statSync(join(cache, 'compiled', name)).mtimeMs]);

/** A model in memory that gives x · `factor`. */
const scaled = (factor: number): Model =>
  defineModel({
    config: {},
    entries: { forward: (e) => ({ out: e.input('x', [e.batch, 4]).mul(factor) }) },
  });

it.each<[string, () => Promise<Awaited<ReturnType<typeof compile>>>]>([
  ['a model file', () => compile(path)],
  ['a model in memory', () => compile(scaled(2), { name: 'scaled' })],
])('%s that was compiled before is as it was, and is not compiled again', async (_what, run) => {
  const first = await run();
  const written = kept();
  const second = await run();
  expect(second.manifest).toEqual(first.manifest);
  expect([...second.wgsl]).toEqual([...first.wgsl]);
  expect([...second.files()]).toEqual([...first.files()]);
  expect(kept()).toEqual(written);
});

it('a model in memory is known by what it computes', async () => {
  const [two, three] = [await compile(scaled(2)), await compile(scaled(3))];
  expect([...three.wgsl.values()].join()).not.toBe([...two.wgsl.values()].join());
});

const path = join(folder({ 'm.ts': widthModel('8') }), 'm.ts');
