/** A slice of a state that is written in place: its values, and that nothing but the slice is moved. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGraphs } from '../../compiler/compile.ts';
import { layerNorm, setSlice, softmax, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf } from '../../compiler/ir/index.ts';
import { interpret, Random, writesSlice, type Bindings } from '../../compiler/ops/index.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { drawValues } from '../helpers/samples.ts';

type Outputs = Record<string, Tensor> | void;

const SHAPE = [2, 16, 3];
const BYTES = 4 * 2 * 3;

/** What is written along axis 1 of a cache of 16 rows, and whether in place. */
const CASES: [string, (e: Entry, cache: Tensor, at: Tensor) => Outputs, isInPlace: boolean][] = [
  ['a row', (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('row', [2, 1, 3]).mul(2))), true],
  [
    'a row that is read where it lies afterwards',
    (e, cache, at) => {
      const keys = setSlice(cache, 1, at, e.input('row', [2, 1, 3]));
      e.update(cache, keys);
      return {
        out: softmax(e.input('q', [2, 4, 3]).matmul(keys.transpose(1, 2))).matmul(keys),
        some: keys.slice(1, 2, 5).square(),
      };
    },
    true,
  ],
  [
    'a row of each example at a place of its own',
    (e, cache, at) =>
      e.update(cache, setSlice(cache, 1, at.add(e.input('places', [2, 1, 1], 'i32')), e.input('row', [2, 1, 3]))),
    true,
  ],
  [
    'the same row of all examples',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('row', [1, 1, 3]))),
    true,
  ],
  ['several rows', (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('row', [2, 3, 3]))), true],
  [
    'two rows of one state',
    (e, cache, at) =>
      e.update(
        cache,
        setSlice(setSlice(cache, 1, at, e.input('row', [2, 1, 3])), 1, at.sub(1), e.input('q', [2, 1, 3])),
      ),
    false,
  ],
  [
    'a row made of what was there',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, cache.sum(1, { keepDims: true }))),
    false,
  ],
  ['the state itself, further on', (e, cache, at) => e.update(cache, setSlice(cache, 1, at, cache)), false],
  // Kernels that have the shape of the cache, of which the slice is no element by element reader.
  [
    'a sum over as many rows as there are',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('x', SHAPE).sum(1, { keepDims: true }))),
    true,
  ],
  [
    'the mean of rows, and what follows it',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('x', SHAPE).mean(1, { keepDims: true }).exp())),
    true,
  ],
  [
    'all rows, made by a product',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, e.input('x', SHAPE).matmul(e.input('w', [3, 3])))),
    true,
  ],
  [
    'all rows, normalised',
    (e, cache, at) => e.update(cache, setSlice(cache, 1, at, layerNorm(e.input('x', SHAPE)))),
    true,
  ],
  [
    'a row, while what was there is shown',
    (e, cache, at) => {
      e.update(cache, setSlice(cache, 1, at, e.input('row', [2, 1, 3])));
      return { before: cache };
    },
    false,
  ],
];

describe('a slice of a state', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it.each(CASES)('%s', async (_name, write, isInPlace) => {
    const forward = (e: Entry) => write(e, e.state('cache', SHAPE), e.input('at', [], 'i32'));
    const { graph } = traceEntry({ config: {}, entries: { forward } }, 'forward', { batch: 2 });
    const artefact = compileGraphs([graph], { device: gpu.spec, verify: true });
    const { dispatches, updates } = artefact.manifest.entries.forward;
    const writes = dispatches.filter(({ resources }) => resources.some(({ kind, ...more }) => kind === 'state' && 'name' in more && more.name === 'cache')); // prettier-ignore
    if (isInPlace) {
      expect(updates).toEqual([]);
      const [{ attrs, inputs }] = nodesOf(graph).filter(writesSlice);
      const rows = inputs[0].type.shape[1];
      expect(attrs.axis).toBe(1);
      expect(writes[0].bytesWritten).toBeLessThanOrEqual(rows * BYTES);
      expect(writes[0].bytesRead).toBeLessThanOrEqual(rows * BYTES + 12);
    }
    const random = new Random(3);
    const leaves = nodesOf(graph).filter(({ op }) => op === 'input' || op === 'state');
    for (const at of [5, 15, -1, 16]) {
      const values: Bindings = Object.fromEntries(leaves.map(({ attrs, type }) => [String(attrs.name), attrs.name === 'at' ? [at] : drawValues(random, type)])); // prettier-ignore
      const wanted = interpret(graph, values);
      const got = await gpu.run(artefact, 'forward', values);
      expect(relativeError(got.updates.cache, wanted.updates.cache.data), `${at}`).toBeLessThan(1e-6);
      for (const [name, { data }] of Object.entries(wanted.outputs))
        expect(relativeError(got.outputs[name], data), `${name} at ${at}`).toBeLessThan(1e-5);
    }
  });
});
