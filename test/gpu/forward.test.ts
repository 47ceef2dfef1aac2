/** Compiled forward passes against PyTorch's golden tensors. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { dit } from '../../models/dit.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from '../models/golden.ts';
import { PASS } from '../helpers/tolerances.ts';

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
  console.log(`forward passes run on ${gpu.spec.name}`);
});
afterAll(() => gpu?.close());

describe('the compiled forward pass equals PyTorch', () => {
  it.each(goldenCases('forward-'))('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const entryOptions = { batch: shapes['input.x'][0] };
    const options = { name: stem, source: 'models/dit.ts', device: gpu.spec, verify: true, entryOptions };
    const artefact = compileModel(dit(config), { ...options, entries: ['forward'] });
    const bindings = Object.fromEntries(
      Object.entries(values).map(([name, v]) => [name.replace(/^(param|input)\./, ''), v]),
    );
    const { outputs } = await gpu.run(artefact, 'forward', bindings);
    expect(relativeError(outputs.out, values['output.out'])).toBeLessThan(PASS);
  });
});
