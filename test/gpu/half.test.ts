/** Builds for f16: forward passes against PyTorch's golden tensors, in f32 arithmetic on f16 storage. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/pipeline.ts';
import { dit } from '../../models/dit.ts';
import { relativeError, TestGpu } from '../helpers/gpu.ts';
import { goldenCases, readGolden } from '../models/golden.ts';

/** DESIGN.md section 4: error of f16 storage. */
const TOLERANCE = 5e-3;

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

/** The gate runs a few: `DITC_SLOW=1 npm test` all. */
const GATE = ['forward-no-sigma', 'forward-odd-heads', 'forward-cross-attention'];
const cases = goldenCases('forward-').filter((name) => process.env.DITC_SLOW || GATE.includes(name));

describe('the forward pass of a build for f16 is near PyTorch’s in f32', () => {
  it.each(cases)('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const entryOptions = { batch: shapes['input.x'][0] };
    const options = { name: stem, source: 'models/dit.ts', device: gpu.spec, verify: true, entryOptions };
    const compiled = () => compileModel(dit(config), { ...options, entries: ['forward'], dtype: 'f16' });
    if (!gpu.spec.features.includes('shader-f16')) return expect(compiled).toThrow(`${gpu.spec.name} has no f16`);
    const bindings = Object.fromEntries(
      Object.entries(values).map(([name, v]) => [name.replace(/^(param|input)\./, ''), v]),
    );
    const { outputs } = await gpu.run(compiled(), 'forward', bindings);
    const error = relativeError(outputs.out, values['output.out']);
    expect(error).toBeLessThan(TOLERANCE);
    // In f32 it would be some 1e-6: f16 is what is tested.
    expect(error).toBeGreaterThan(1e-5);
  });
});
