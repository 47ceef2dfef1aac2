/** The compiled training step: gradients and updates against PyTorch, bits that repeat, batches that add up. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { compileModel } from '../../compiler/pipeline.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { goldenCases } from '../models/golden.ts';
import { trainCase } from '../models/train-case.ts';

/** DESIGN.md section 4: f32 error of a whole pass. */
const TOLERANCE = 1e-4;

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

describe('the compiled gradients of all weights equal PyTorch', () => {
  it.each(goldenCases('train-'))('%s', async (stem) => {
    const { model, batch, bindings, check } = await trainCase(stem);
    const options = { name: stem, source: 'models/dit.ts', device: gpu.spec, verify: true, entryOptions: { batch } };
    const artefact = compileModel(model, { ...options, entries: ['trainStepGiven'] });
    const { outputs, updates } = await gpu.run(artefact, 'trainStepGiven', bindings);
    check(outputs, updates, TOLERANCE);
  });
});
