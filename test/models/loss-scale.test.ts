/** Loss scaling by the interpreter: the update is that without it, and none where a gradient is not finite. */
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { dit } from '../../models/dit.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { runStep } from './run-step.ts';

const MODEL = dit({ inputSize: 4, inChannels: 1, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3, mlpRatio: 2 });

/** One step with clipping; `given` are other values, by name. */
const run = (options: Record<string, unknown>, given: Record<string, readonly number[]> = {}, f32 = false) =>
  runStep(MODEL, { clip: 1, ...options }, given, f32);

const scaleStates = ['optimizer.lossScale', 'optimizer.goodSteps', 'optimizer.skipped'];
const counts = (updates: Record<string, number[]>) => scaleStates.map((name) => updates[name][0]);

describe('a scaled step', () => {
  it('is the step without scaling, where everything is finite', () => {
    const [plain, scaled] = [run({}), run({ dtype: 'f16' })];
    expect(Object.keys(plain.updates).length).toBeGreaterThan(50);
    for (const [name, values] of Object.entries(plain.updates))
      expect(relativeError(scaled.updates[name], values), name).toBeLessThan(1e-9);
    expect(relativeError(scaled.outputs.gradNorm, plain.outputs.gradNorm)).toBeLessThan(1e-12);
    expect(scaled.outputs.loss).toEqual(plain.outputs.loss);
    expect(counts(scaled.updates)).toEqual([2 ** 16, 1, 0]);
    expect([scaled.outputs.lossScale, scaled.outputs.skipped]).toEqual([[2 ** 16], [0]]);
  });

  it('doubles the scale after 2000 good ones in a row, and not beyond float32', () => {
    const after = (good: number, scale: number, options = {}) =>
      counts(
        run({ dtype: 'f16', ...options }, { 'optimizer.goodSteps': [good], 'optimizer.lossScale': [scale] }).updates,
      );
    expect(after(1998, 8)).toEqual([8, 1999, 0]);
    expect(after(1999, 8)).toEqual([16, 0, 0]);
    expect(after(0, 8, { growthInterval: 1 })).toEqual([16, 0, 0]);
    expect(after(1999, 2 ** 126)).toEqual([2 ** 126, 0, 0]);
  });

  it.each([
    ['the scale is too large', { 'optimizer.lossScale': [2 ** 126], noise: new Array<number>(32).fill(1e6) }],
    ['an image is infinite', { images: new Array<number>(32).fill(Infinity) }],
  ])('changes nothing but the scale where %s', (_why, given) => {
    const { bindings, outputs, updates } = run({ dtype: 'f16' }, { 'optimizer.goodSteps': [7], ...given }, true);
    expect(Number.isFinite(outputs.gradNorm[0])).toBe(false);
    const [scale, good, skipped] = counts(updates);
    expect([scale, good, skipped]).toEqual([Number(bindings['optimizer.lossScale'][0]) / 2, 0, 1]);
    expect(outputs.skipped).toEqual([1]);
    const others = Object.entries(updates).filter(([name]) => !scaleStates.includes(name));
    expect(others.length).toBeGreaterThan(50);
    const f32 = (values: ArrayLike<number>) => Array.from(values, Math.fround);
    for (const [name, values] of others) expect(values, name).toEqual(f32(bindings[name]));
  });

  it('looks at all batches of an update together, once', () => {
    const options = { dtype: 'f16', accumulate: 2 };
    const infinite = { images: new Array<number>(32).fill(Infinity) };
    const first = run(options, infinite);
    expect(counts(first.updates)).toEqual([2 ** 16, 0, 0]);
    expect(first.updates['optimizer.step']).toEqual([4]);
    const sums = Object.entries(first.updates).filter(([name]) => name.startsWith('optimizer.gradient.'));
    const last = run(options, { ...Object.fromEntries(sums), 'optimizer.batch': [1] });
    expect(counts(last.updates)).toEqual([2 ** 15, 0, 1]);
    expect(last.updates['optimizer.step']).toEqual([4]);
    for (const [name] of sums)
      expect(
        last.updates[name].every((x) => x === 0),
        name,
      ).toBe(true);
    const weight = 'blocks.0.mlp.fc1.weight';
    expect(last.updates[weight]).toEqual(Array.from(last.bindings[weight]));
  });
});

describe('loss scaling', () => {
  const statesOf = (options: object) =>
    traceEntry(MODEL, 'trainStart', { batch: 1, ...options }).graph.updates.map(({ state, node }) => ({
      name: String(state.attrs.name),
      value: node.attrs.value,
    }));

  it('is there in builds for f16, or where it is asked for, and starts as told', () => {
    const first = (options: object) => statesOf(options).find(({ name }) => name === 'optimizer.lossScale')?.value;
    expect(first({})).toBeUndefined();
    expect(first({ dtype: 'f32' })).toBeUndefined();
    expect(first({ dtype: 'f16' })).toBe(65536);
    expect(first({ dtype: 'f16', lossScale: 8 })).toBe(8);
    expect(first({ lossScale: 8 })).toBe(8);
    expect(first({ dtype: 'f16', lossScale: 0 })).toBeUndefined();
  });

  it.each([
    [{ lossScale: -1 }, /^lossScale is -1; give a number of at least 0/],
    [{ lossScale: 1e39 }, /^lossScale is 1e\+39; /],
    [{ growthInterval: 0 }, /^growthInterval is 0; give a whole number of at least 1/],
  ])('%j says what to change', (options, message) => {
    expect(() => traceEntry(MODEL, 'trainStep', { batch: 1, ...options })).toThrow(message);
  });
});
