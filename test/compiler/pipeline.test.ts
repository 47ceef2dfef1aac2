/** The compiler's switches: other passes, less fusion, other plans. What they give up is seen in the kernels. */
import { expect, it } from 'vitest';
import { layerNorm, softmax, type EntryFunction } from '../../compiler/dsl/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { without } from '../../compiler/fusion/passes.ts';
import { pipeline, type CompileOptions } from '../../compiler/pipeline.ts';
import { PORTABLE } from '../../compiler/device.ts';

const normed: EntryFunction = (e) => ({ out: e.params.linear('proj', layerNorm(e.input('x', [2, 64, 32])), 48) });

const attended: EntryFunction = (e) => {
  const [q, k, v] = ['q', 'k', 'v'].map((name) => e.input(name, [2, 64, 32]));
  return { out: softmax(q.matmul(k.transpose())).matmul(v) };
};

function kernels(main: EntryFunction, options: Partial<CompileOptions> = {}) {
  const model = { config: {}, entries: { main } };
  const settings = { device: PORTABLE, verify: true, entryOptions: { batch: 1 }, ...options };
  const { manifest } = compileModel(model, { ...settings, name: 'switches', source: 'switches' });
  return manifest.entries.main.dispatches.map(({ kernel }) => manifest.kernels[kernel].plan.family);
}

it('row statistics leave the product when fusion says so', () => {
  expect(kernels(normed)).toEqual(['product-tiled']);
  expect(kernels(normed, { fusion: without('fuse-row-statistics', 'share-rows') })).toEqual(['row', 'product-tiled']);
});

it('passes are those that were asked for', () => {
  expect(kernels(attended)).toEqual(['attention']);
  const passes = pipeline.filter(({ name }) => name !== 'recognise');
  expect(
    kernels(attended, { passes, fusion: without('fuse-row-statistics', 'partial-statistics', 'share-rows') }),
  ).toEqual(['product-tiled', 'row', 'product-tiled']);
});

it('plans are chosen by whoever was given', () => {
  const plan: CompileOptions['plan'] = ({ anchor }) => anchor && { family: 'product-simple', workgroup: 64 };
  expect(kernels(normed, { plan, fusion: without('fuse-row-statistics', 'share-rows') })).toEqual([
    'row',
    'product-simple',
  ]);
});

it('an entry that gives nothing is refused by name', () => {
  const main: EntryFunction = (e) => void e.input('x', [4]);
  expect(() => kernels(main)).toThrow(/entry main gives nothing/);
});
