/** From pictures to their noise, compiled: whole trajectories against PyTorch, with nothing read back on the way. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { dit, type DiTConfig } from '../../models/dit.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu, typed } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from '../models/golden.ts';
import { PASS } from '../helpers/tolerances.ts';

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

it.each(goldenCases('inversion-'))('%s', { timeout: 300_000 }, async (stem) => {
  const { config, values, shapes } = await readGolden(stem);
  const { model, options } = config as { model: DiTConfig; options: { steps: number; cfg: number } };
  const artefact = compileModel(dit(model), {
    ...{ name: stem, source: 'models/dit.ts', device: gpu.spec, verify: true },
    ...{ entries: ['invertStart', 'invertStep'], entryOptions: { batch: shapes['input.images'][0], ...options } },
  });
  const program = await Program.create(gpu.opened.device, artefact);
  try {
    for (const { name } of artefact.manifest.params)
      await program.setParam(name, typed('f32', values[`param.${name}`]));
    program.write('images', typed('f32', values['input.images']));
    program.write('y', typed('i32', values['input.y']));
    program.write('cfgScale', Float32Array.of(options.cfg));
    await program.run('invertStart');
    for (let k = 0; k < options.steps; k++) await program.run('invertStep');
    const noise = Array.from(values['output.x']).slice(-values['input.images'].length);
    expect(relativeError(await program.readState('x'), noise)).toBeLessThan(PASS);
  } finally {
    program.close();
  }
});
