/**
 * What `--weights` takes: a training's own checkpoint, wrapped names, files without what the model computes; and values that are not finite.
 * @once
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { dit } from '../../models/dit.ts';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const MODEL = `import { defineModel, fixed, ones } from 'ditc/dsl';
export default defineModel({ config: {}, entries: { scale(e) {
  const w = e.params.param('w', [3], ones);
  const offset = e.params.param('offset', [3], fixed([10, 20, 30]), { frozen: true });
  return { out: e.input('x', [3]).mul(w).add(offset), inverse: w.sub(4).pow(-1) };
} } });
`;
type Weights = Record<string, number[] | { shape: number[]; values: Float32Array }>;

/** What SMALL_DIT is. */
const network = dit({
  inputSize: 8,
  patchSize: 4,
  inChannels: 1,
  hiddenSize: 16,
  depth: 1,
  numHeads: 2,
  numClasses: 5,
});

describe('--weights', () => {
  let cwd: string;
  const save = async (name: string, weights: Weights) => {
    const parts: Uint8Array[] = [];
    const tensors = Object.entries(weights).map(([name, given]) => {
      const { shape, values } = Array.isArray(given) ? { shape: [given.length], values: given } : given;
      return { name, dtype: 'f32' as const, shape, chunks: () => [Float32Array.from(values)] };
    });
    await writeSafetensors(async (bytes) => void parts.push(bytes.slice()), tensors);
    writeFileSync(join(cwd, name), Buffer.concat(parts));
  };
  const run = async (weights: Weights, ...more: string[]) => {
    await save('w.safetensors', weights);
    const args = ['run', 'scale.ts', '--entry', 'scale', '--input', 'x=x.npy', '--weights', 'w.safetensors'];
    const result = await ditc([...args, '--out', 'out', '--overwrite', ...more], cwd);
    if (result.code !== 0) return { ...result, values: [] };
    return { ...result, values: [...(parseNpy(readFileSync(join(cwd, 'out/out.npy')), 'out').data as Float32Array)] };
  };
  beforeAll(() => {
    cwd = scratchFolder()({ 'scale.ts': MODEL, 'small.ts': SMALL_DIT });
    writeFileSync(join(cwd, 'x.npy'), encodeNpy({ dtype: 'f32', shape: [3], data: Float32Array.of(1, 1, 1) }));
  });

  const checkpoint = { 'param/w': [1, 2, 3], 'param/offset': [0, 0, 0], 'state/ema.w': [4, 5, 6], 'state/step': [7] };

  it('takes the moving average of a training’s checkpoint', async () => {
    const { values, err } = await run(checkpoint);
    expect(values).toEqual([4, 5, 6]);
    expect(err).toContain(
      'the moving average (EMA) of the weights are taken; --part model takes the weights themselves',
    );
  });

  it('takes the weights themselves with --part model', async () => {
    expect((await run(checkpoint, '--part', 'model')).values).toEqual([1, 2, 3]);
  });

  it('says that there is no moving average', async () => {
    const { code, err } = await run({ 'param/w': [1, 2, 3], 'param/offset': [0, 0, 0] }, '--part', 'ema');
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining('it holds no moving average') });
  });

  it('takes names behind module., and does without what the model computes', async () => {
    const { values, err } = await run({ 'module.w': [1, 2, 3], 'module.unused': [5] });
    expect(values).toEqual([11, 22, 33]);
    expect(err).toContain('names are taken without module.');
    expect(err).toContain('does not use 1 of its tensors: module.unused');
    expect(err).toContain('lacks offset, which the model computes');
  });

  it('tells of weights and results that are not finite', async () => {
    const { code, err } = await run({ w: [1, NaN, 4], offset: [0, 0, 0] });
    expect(code).toBe(0);
    expect(err).toContain('weight w is not finite: 1 of 3 value is not finite; the first, element [1], is NaN');
    expect(err).toContain('note: out: 1 of 3 value is not finite; the first, element [1], is NaN');
    expect(err).toContain('note: inverse: 2 of 3 values are not finite; the first, element [1], is NaN');
  });

  it.each(['FILE.npy', 'FILE.png'])('of pictures must be finite, unless that is allowed: %s', async (out) => {
    const { params } = traceEntry(network, 'forward', { batch: 1 });
    const weights = (value: number) =>
      Object.fromEntries(
        params.flatMap(({ node: { attrs, type } }) =>
          ['param/', 'state/ema.'].map((kind) => {
            const values = new Float32Array(type.shape.reduce((x, y) => x * y, 1)).fill(0.01);
            if (kind === 'state/ema.' && attrs.name === 'final_layer.linear.bias') values[1] = value;
            return [`${kind}${String(attrs.name)}`, { shape: [...type.shape], values }];
          }),
        ),
      );
    const draw = (...more: string[]) =>
      ditc(
        ['sample', 'small.ts', '--weights', 'w.safetensors', '--classes', '1', '--steps', '2', '--out', out, ...more],
        cwd,
      );
    await save('w.safetensors', weights(0));
    expect(await draw()).toMatchObject({ code: 0, err: expect.stringContaining('moving average (EMA)') });
    await save('w.safetensors', weights(NaN));
    const refused = await draw();
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('final_layer.linear.bias is not finite');
    expect(refused.err).toContain('--allow-non-finite');
    const allowed = await draw('--allow-non-finite');
    expect(allowed.code, allowed.err).toBe(0);
    expect(allowed.err).toMatch(/note: sample 0: \d+ of 64 values are not finite/);
  });
});
