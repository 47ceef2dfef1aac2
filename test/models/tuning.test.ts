/** What a training changes when it is told: some parameters, or low-rank steps beside matrices. By the interpreter. */
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import type { Bindings } from '../../compiler/ops/index.ts';
import { dit } from '../../models/dit.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { runStep } from './run-step.ts';

const MODEL = dit({ inputSize: 4, inChannels: 1, hiddenSize: 8, depth: 2, numHeads: 2, numClasses: 3, mlpRatio: 2 });
const names = (updates: object, prefix: string) =>
  Object.keys(updates).flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
const BETA1 = 0.9;
const numbers = (bindings: Bindings) =>
  Object.fromEntries(Object.entries(bindings).map(([name, values]) => [name, Array.from(values, Number)]));

describe('train', () => {
  it('names what is changed; the rest has no moments and no average', () => {
    const { updates } = runStep(MODEL, { train: 'blocks.*.attn.qkv, final_layer.linear.bias' });
    const trained = [0, 1].flatMap((i) => ['weight', 'bias'].map((part) => `blocks.${i}.attn.qkv.${part}`));
    trained.push('final_layer.linear.bias');
    for (const prefix of ['optimizer.m.', 'optimizer.v.', 'ema.']) expect(names(updates, prefix)).toEqual(trained);
    expect(Object.keys(updates).filter((name) => !/^(optimizer|ema)/.test(name))).toEqual(trained);
  });

  it('changes it as training all of the model does', () => {
    const some = runStep(MODEL, { train: 'blocks.1' });
    const all = runStep(MODEL, {}, numbers(some.bindings));
    expect(Object.keys(some.updates).length).toBeGreaterThan(30);
    for (const [name, values] of Object.entries(some.updates)) expect(values, name).toEqual(all.updates[name]);
  });

  it.each([
    ['blocks.*.atn', /^train: no parameter is called blocks\.\*\.atn; use some of .*blocks\.\*\.attn\.qkv, /],
    ['pos_embed', /^train is pos_embed, which has nothing to train: training leaves those as they are; /],
    [7, /^train is 7; give patterns of names/],
  ])('%s says what to write', (train, message) => {
    expect(() => traceEntry(MODEL, 'trainStep', { batch: 1, train })).toThrow(message);
  });
});

describe('lora', () => {
  const [rank, train] = [2, 'blocks.*.attn, x_embedder'];
  const matrices = [
    'x_embedder.proj.weight',
    ...[0, 1].flatMap((i) => ['qkv', 'proj'].map((layer) => `blocks.${i}.attn.${layer}.weight`)),
  ];
  const lora = runStep(MODEL, { train, lora: rank });
  const valueOf = (name: string) => Array.from(lora.bindings[name], Number);
  /** B·A + what is there, of row-major matrices. */
  const stepped = (name: string) => {
    const [a, b] = ['A', 'B'].map((part) => valueOf(`lora_${part}.${name}`));
    const width = a.length / rank;
    return valueOf(name).map((w, at) => {
      const [row, column] = [Math.floor(at / width), at % width];
      return w + a[column] * b[row * rank] + a[width + column] * b[row * rank + 1];
    });
  };

  it('trains the steps alone, of matrices alone', () => {
    const steps = matrices.flatMap((name) => [`lora_A.${name}`, `lora_B.${name}`]).sort();
    expect(
      Object.keys(lora.updates)
        .filter((name) => !/^(optimizer|ema)/.test(name))
        .sort(),
    ).toEqual(steps);
    expect(names(lora.updates, 'ema.').sort()).toEqual(steps);
  });

  it('has the loss of the model with the steps added, and of its gradient G the gradients Bᵀ·G and G·Aᵀ', () => {
    const merged = Object.fromEntries(matrices.map((name) => [name, stepped(name)]));
    const whole = runStep(MODEL, {}, { ...numbers(lora.bindings), ...merged });
    expect(relativeError(lora.outputs.loss, whole.outputs.loss)).toBeLessThan(1e-12);
    const gradient = ({ bindings, updates }: typeof lora, name: string) =>
      updates[`optimizer.m.${name}`].map(
        (m, i) => (m - BETA1 * Number(bindings[`optimizer.m.${name}`][i])) / (1 - BETA1),
      );
    for (const name of matrices) {
      const [a, b, g] = [valueOf(`lora_A.${name}`), valueOf(`lora_B.${name}`), gradient(whole, name)];
      const [width, height] = [a.length / rank, b.length / rank];
      const sum = (n: number, term: (i: number) => number) =>
        Array.from({ length: n }, (_, i) => term(i)).reduce((x, y) => x + y);
      const wantedA = a.map((_, at) =>
        sum(height, (o) => b[o * rank + Math.floor(at / width)] * g[o * width + (at % width)]),
      );
      const wantedB = b.map((_, at) =>
        sum(width, (i) => g[Math.floor(at / rank) * width + i] * a[(at % rank) * width + i]),
      );
      expect(relativeError(gradient(lora, `lora_A.${name}`), wantedA), name).toBeLessThan(1e-9);
      expect(relativeError(gradient(lora, `lora_B.${name}`), wantedB), name).toBeLessThan(1e-9);
    }
  });

  it('is refused where there is no matrix', () => {
    const options = { batch: 1, train: 'blocks.*.attn.qkv.bias', lora: 2 };
    expect(() => traceEntry(MODEL, 'trainStep', options)).toThrow(
      /has nothing to train: lora trains steps beside matrices/,
    );
  });
});
