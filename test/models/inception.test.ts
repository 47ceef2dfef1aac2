/** Inception v3 as pytorch-fid has it, on weights that a formula gives (test/golden/make_inception.py says which). */
import { beforeAll, describe, expect, it } from 'vitest';
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import network, { inception } from '../../models/inception.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { readGolden, type Golden } from './golden.ts';

/** Of [0, 1): MurmurHash3's finaliser of the index, from FNV-1a of the name. */
function uniform(name: string, count: number): Float64Array {
  const seed = [...name].reduce((h, letter) => Math.imul(h ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5);
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let h = i ^ seed;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    values[i] = ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
  }
  return values;
}

function weight(name: string, shape: readonly number[]): Float32Array {
  const made = known.get(name) ?? scaled(name, shape, uniform(name, sizeOf(shape)));
  known.set(name, made);
  return made;
}

/** The weights are millions, and those of all tests. */
const known = new Map<string, Float32Array>();

function scaled(name: string, shape: readonly number[], u: Float64Array): Float32Array {
  if (/\.running_var$|bn\.weight$/.test(name)) return new Float32Array(u.map((v) => 0.5 + v));
  if (/bn\.bias$|\.running_mean$/.test(name)) return new Float32Array(u.map((v) => 0.4 * (v - 0.5)));
  const bound = Math.sqrt(6 / sizeOf(shape.slice(1)));
  return new Float32Array(u.map((v) => 2 * (v - 0.5) * bound));
}

const traced = (model: Model, height: number, width: number) =>
  traceEntry(model, 'features', { batch: 1, height, width });

let golden: Golden;
beforeAll(async () => {
  golden = await readGolden('inception');
});

describe.each(['adm', 'pytorch-fid'] as const)('with pictures scaled as %s does', (preprocess) => {
  it('features, channels by pixel and logits are PyTorch’s', () => {
    const model = inception({ ...golden.config, preprocess });
    const { graph, params } = traced(model, 40, 52);
    const weights = params.map(({ node }) => [node.attrs.name, weight(String(node.attrs.name), node.type.shape)]);
    const { outputs } = interpret(graph, { x: golden.values['input.x'], ...Object.fromEntries(weights) });
    for (const name of ['pool', 'spatial', 'logits']) {
      expect(relativeError(outputs[name].data, golden.values[`output.${preprocess}.${name}`]), name).toBeLessThan(1e-6);
    }
  });
});

it('has the parameters of the published network, but the bias of its classes', () => {
  const { graph, params } = traced(network, 256, 256);
  expect(params.reduce((sum, { node }) => sum + sizeOf(node.type.shape), 0)).toBe(23_884_384);
  expect(graph.outputs.map(({ node }) => node.type.shape)).toEqual([
    [1, 2048],
    [1, 2023],
    [1, 1008],
  ]);
});

it.each([
  [{ preprocess: 'keras' }, /preprocess is "keras".*adm, pytorch-fid/s],
  [{ side: 64 }, /side is 64.*at least 75/s],
  [{ sides: 299 }, /unknown key sides/],
])('refuses %j', (config, message) => {
  expect(() => inception(config as never)).toThrow(message);
});
