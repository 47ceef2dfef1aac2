/**
 * Attention by a mask, written in seven ways, where some queries see no key: values and gradients of the interpreter and of every
 * recipe against PyTorch's (test/golden/make_masked.py). Float32 cannot hold the logarithm of a row's sum beside −10⁹.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import { defineModel, gradients, softmax, where, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { bindingsOf, readGolden, type Golden } from '../models/golden.ts';
import { HALF_PASS, KERNEL } from '../helpers/tolerances.ts';

const LOWEST = -3.4028234663852886e38;
const filled = (value: number) => (scores: Tensor, mask: Tensor) => where(mask, scores, value);
const biased = (value: number) => (scores: Tensor, mask: Tensor) => scores.add(where(mask, 0, value));

/** How the scores are masked, and the golden that says what is right. */
const KINDS: Record<string, { mask: (scores: Tensor, mask: Tensor) => Tensor; right?: string }> = {
  fill1e9: { mask: filled(-1e9) },
  fill1e4: { mask: filled(-1e4) },
  fillMin: { mask: filled(LOWEST) },
  bias1e9: { mask: biased(-1e9) },
  bias1e4: { mask: biased(-1e4) },
  biasMin: { mask: biased(LOWEST) },
  // PyTorch has NaN where a query sees no key; −∞ counts as the lowest number here (docs/ops.md).
  biasInf: { mask: biased(-Infinity), right: 'biasMin' },
  fillInf: { mask: filled(-Infinity), right: 'fillMin' },
};

let gpu: TestGpu;
let golden: Golden;
beforeAll(async () => {
  golden = await readGolden('masked-attention');
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

/** As users write it; with `stored`, the weights are a result too, and no rule makes one kernel of it. */
function entryOf(kind: string, shapes: Golden['shapes'], stored: boolean) {
  return (e: Entry) => {
    const [q, k, v, w] = ['q', 'k', 'v', 'w'].map((name) => e.input(name, [...shapes[`input.${name}`]]));
    const mask = e.input('mask', [...shapes['input.mask']], 'i32').ne(0);
    const weights = softmax(KINDS[kind].mask(q.matmul(k.transpose()), mask));
    const y = weights.matmul(v);
    const [dq, dk, dv] = gradients(y.mul(w).sum(), [q, k, v]);
    return { y, dq, dk, dv, ...(stored && { weights }) };
  };
}
const modelOf = (stored: boolean) => {
  const entries = Object.keys(KINDS).map((kind) => [kind, entryOf(kind, golden.shapes, stored)] as const);
  return defineModel({ config: {}, entries: Object.fromEntries(entries) });
};

function expectRight(kind: string, got: Record<string, ArrayLike<number>>, width: 'f64' | 'f32', most: number): void {
  const right = KINDS[kind].right ?? (width === 'f32' && kind === 'bias1e9' ? 'f32.bias1e9' : kind);
  for (const name of ['y', 'dq', 'dk', 'dv'])
    expect(relativeError(got[name], golden.values[`${right}.${name}`]), `${kind} ${name}`).toBeLessThan(most);
}

describe('the interpreter agrees with PyTorch in float64', () => {
  it.each(Object.keys(KINDS))('%s', (kind) => {
    const graph = resolveGradients(traceEntry(modelOf(false), kind, { batch: 1 }).graph);
    const { outputs } = interpret(graph, bindingsOf(golden));
    const data = Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, value.data]));
    expectRight(kind, data, 'f64', 1e-6);
  });
});

/** Recipes that an attention and its derivatives are computed by. */
interface Way {
  readonly stored?: boolean;
  readonly device?: (spec: DeviceSpec) => DeviceSpec;
  readonly dtype?: 'f16';
}
const WAYS: Record<string, Way> = {
  'one kernel': { device: (spec) => ({ ...spec, cacheBytes: 0 }) },
  'one kernel, by workgroup memory': { device: (spec) => ({ ...spec, cacheBytes: 0, subgroups: null }) },
  'scores in memory': {},
  'weights that are a result': { stored: true },
  'one kernel in f16': { device: (spec) => ({ ...spec, cacheBytes: 0 }), dtype: 'f16' },
  'one kernel in f16, by workgroup memory': {
    device: (spec) => ({ ...spec, cacheBytes: 0, subgroups: null }),
    dtype: 'f16',
  },
  'scores in memory in f16': { dtype: 'f16' },
};

describe.each(Object.entries(WAYS))('kernels agree with PyTorch: %s', (way, { stored = false, device, dtype }) => {
  it.each(Object.keys(KINDS))('%s', async (kind) => {
    if (dtype === 'f16' && !gpu.spec.features.includes('shader-f16')) return;
    const spec = device?.(gpu.spec) ?? gpu.spec;
    const options = { name: 'masked', source: '', device: spec, verify: true, entryOptions: { batch: 1 }, dtype };
    const artefact = compileModel(modelOf(stored), { ...options, entries: [kind] });
    const families = Object.values(artefact.manifest.kernels).map(({ plan }) => String(plan.family));
    expect(families.some((family) => family.startsWith('attention'))).toBe(way.startsWith('one kernel'));
    const { outputs } = await gpu.run(artefact, kind, bindingsOf(golden));
    expectRight(kind, outputs, 'f32', dtype === 'f16' ? HALF_PASS : KERNEL);
  });
});

describe('a score of NaN makes its row NaN, and no other', () => {
  it.each(Object.entries(WAYS))('%s', async (_way, { stored = false, device, dtype }) => {
    if (dtype === 'f16') return;
    const artefact = compileModel(modelOf(stored), {
      name: 'masked',
      source: '',
      device: device?.(gpu.spec) ?? gpu.spec,
      entryOptions: { batch: 1 },
      entries: ['bias1e4'],
    });
    const bindings = bindingsOf(golden);
    const [rows, width] = golden.shapes['input.q'];
    const q = Float32Array.from(bindings.q).fill(NaN, 4 * width, 5 * width);
    const { y, dq, dk, dv } = (await gpu.run(artefact, 'bias1e4', { ...bindings, q })).outputs;
    const spoilt = (x: ArrayLike<number>) =>
      Array.from({ length: rows }, (_, row) => {
        const size = x.length / rows;
        return Array.from(x).slice(row * size, (row + 1) * size);
      }).map((row) => (row.every(Number.isNaN) ? true : row.some(Number.isNaN) ? 'in part' : false));
    const want = Array.from({ length: rows }, (_, row) => row === 4);
    expect(spoilt(y)).toEqual(want);
    expect(spoilt(dq)).toEqual(want);
    // Every key and value has part in the row.
    for (const x of [dk, dv]) expect(Array.from(x).every(Number.isNaN)).toBe(true);
  });
});

describe('without a mask, a query whose products overflow downwards sees all keys alike', () => {
  const attended = defineModel({
    config: {},
    entries: {
      plain(e): Record<string, Tensor> {
        const [q, k, v] = ['q', 'k', 'v'].map((name) => e.input(name, [...golden.shapes[`input.${name}`]]));
        const weights = softmax(q.matmul(k.transpose()));
        const y = weights.matmul(v);
        return e.options.stored ? { y, weights } : { y };
      },
    },
  });

  it.each(Object.entries(WAYS))('%s', async (_way, { stored = false, device, dtype }) => {
    if (dtype === 'f16') return;
    const artefact = compileModel(attended, {
      name: 'plain',
      source: '',
      device: device?.(gpu.spec) ?? gpu.spec,
      entryOptions: { batch: 1, stored },
    });
    const bindings = bindingsOf(golden);
    const [[, width], [keys, size]] = [golden.shapes['input.q'], golden.shapes['input.v']];
    const q = Float32Array.from(bindings.q).fill(-3e38, 4 * width, 5 * width);
    const k = Float32Array.from(bindings.k, (x) => Math.abs(x) + 1);
    const { y } = (await gpu.run(artefact, 'plain', { ...bindings, q, k })).outputs;
    const mean = (c: number) =>
      Array.from({ length: keys }, (_, key) => bindings.v[key * size + c]).reduce((a, b) => a + b) / keys;
    const want = Array.from({ length: size }, (_, c) => mean(c));
    expect(relativeError(Array.from(y).slice(4 * size, 5 * size), want)).toBeLessThan(KERNEL);
    expect(Array.from(y).every(Number.isFinite)).toBe(true);
  });
});
