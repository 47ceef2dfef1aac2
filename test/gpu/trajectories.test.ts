/** Sampling compiled, by every sampler: whole trajectories of a guided DiT against PyTorch, every step read back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { dit, type DiTConfig } from '../../models/dit.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu, typed } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from '../models/golden.ts';
import { KERNEL, PASS } from '../helpers/tolerances.ts';

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

/** A software GPU compiles some forty kernels for each: the gate runs one of each objective, `DITC_SLOW=1 npm test` all. */
const CASES = [...goldenCases('flow-model-'), ...goldenCases('trajectory-')];
const QUICK = ['flow-model-heun', 'trajectory-ddpm', 'trajectory-dpm-solver'];
const cases = process.env.DITC_SLOW ? CASES : CASES.filter((stem) => QUICK.includes(stem));

describe('the compiled trajectory equals PyTorch', () => {
  it.each(cases)('%s', { timeout: 300_000 }, async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const { model, options } = config as { model: DiTConfig; options: { steps: number; cfg: number } };
    const entryOptions = { batch: shapes['input.x'][0], ...options };
    const artefact = compileModel(dit(model), {
      ...{ name: stem, source: 'models/dit.ts', device: gpu.spec, verify: true },
      ...{ entries: ['sampleStart', 'sampleStep'], entryOptions },
    });
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      for (const { name } of artefact.manifest.params)
        await program.setParam(name, typed('f32', values[`param.${name}`]));
      program.write('seed', Uint32Array.of(0, 0));
      program.write('first', Uint32Array.of(0));
      program.write('y', typed('i32', values['input.y']));
      program.write('cfgScale', Float32Array.of(options.cfg));
      await program.run('sampleStart');
      // The noise is the same, drawn here and there.
      if (stem.startsWith('trajectory-'))
        expect(relativeError(await program.readState('x'), values['input.x'])).toBeLessThan(KERNEL);
      const size = values['input.x'].length;
      const at = (name: string, k: number) => Array.from(values[`output.${name}`]).slice(k * size, (k + 1) * size);
      const after = (k: number) => (k < 0 ? values['input.x'] : at('x', k));
      /** Steps from x as PyTorch has it after step `from` − 1, up to step `to`. */
      const run = async (from: number, to: number) => {
        program.writeState('x', typed('f32', after(from - 1)));
        // What a sampler remembers of the step before.
        if (values['output.x0'] && from) program.writeState('x0', typed('f32', at('x0', from - 1)));
        program.writeState('step', Int32Array.of(options.steps - 1 - from));
        for (let k = from; k <= to; k++) await program.run('sampleStep');
        return relativeError(await program.readState('x'), after(to));
      };
      for (let k = 0; k < options.steps; k++) expect(await run(k, k), `step ${k}`).toBeLessThan(KERNEL);
      expect(await run(0, options.steps - 1), 'all steps').toBeLessThan(PASS);
    } finally {
      program.close();
    }
  });
});
