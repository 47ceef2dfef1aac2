/** Builds for f16: forward passes against PyTorch's golden tensors, and training against training in f32. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { dit } from '../../models/dit.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from '../models/golden.ts';
import { HALF_PASS } from '../helpers/tolerances.ts';

/** A software GPU compiles a hundred kernels for a training. */
vi.setConfig({ testTimeout: 600_000 });

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
    expect(error).toBeLessThan(HALF_PASS);
    // In f32 it would be some 1e-6: f16 is what is tested.
    expect(error).toBeGreaterThan(1e-5);
  });
});

describe('training in f16', () => {
  const BATCH = 8;
  const SIZE = 8;
  const model = dit({ inputSize: SIZE, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 3 });
  const labels = Int32Array.from({ length: BATCH }, (_, i) => i % 3);
  const images = Float32Array.from({ length: BATCH * SIZE ** 2 }, (_, i) =>
    Math.sin((i % SIZE ** 2) * (1 + labels[Math.floor(i / SIZE ** 2)]) * 0.3),
  );

  /** What `steps` on the same images measure, and a weight before and after them. */
  async function trained(dtype: 'f32' | 'f16', steps: number, options: Record<string, unknown> = {}) {
    const entryOptions = { batch: BATCH, lr: 1e-3, gradNorm: 1, ...options };
    const setup = { name: 'half', source: 'models/dit.ts', device: gpu.spec, verify: true, entryOptions };
    const artefact = compileModel(model, { ...setup, entries: ['trainStart', 'trainStep'], dtype });
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      await initialise(program, artefact, 7);
      await program.run('trainStart');
      program.write('seed', Uint32Array.of(3, 0));
      program.write('images', images);
      program.write('labels', labels);
      const weight = () => program.readParam('final_layer.linear.weight');
      const before = await weight();
      const outputs = artefact.manifest.entries.trainStep.outputs.map(({ name }) => name);
      const measured = ['loss', 'gradNorm', 'lossScale', 'skipped'].filter((name) => outputs.includes(name));
      const records: Record<string, number>[] = [];
      for (let step = 0; step < steps; step++) {
        await program.run('trainStep');
        const read = async (name: string) => [name, (await program.readOutput('trainStep', name))[0]] as const;
        records.push({
          ...Object.fromEntries(await Promise.all(measured.map(read))),
          changed: relativeError(await weight(), before),
        });
      }
      const updates = await program.readState('optimizer.step');
      return { records, updates: updates[0], params: artefact.manifest.params };
    } finally {
      program.close();
    }
  }

  it('follows the loss of f32, from f32 weights', async () => {
    if (!gpu.spec.features.includes('shader-f16')) return expect(trained('f16', 1)).rejects.toThrow('has no f16');
    const steps = 60;
    const [full, half] = [await trained('f32', steps), await trained('f16', steps)];
    expect(half.params.every(({ dtype }) => dtype === 'f32')).toBe(true);
    expect(full.records[steps - 1].loss).toBeLessThan(0.9 * full.records[0].loss);
    for (const name of ['loss', 'gradNorm'])
      full.records.forEach((record, step) =>
        expect(relativeError([half.records[step][name]], [record[name]]), `${name} ${step}`).toBeLessThan(HALF_PASS),
      );
    expect(half.records.map(({ gradNorm }) => gradNorm)).not.toEqual(full.records.map(({ gradNorm }) => gradNorm));
    expect(half.records[steps - 1]).toMatchObject({ lossScale: 2 ** 16, skipped: 0 });
  });

  it('leaves out steps that overflow, and halves the scale until they do not', async () => {
    if (!gpu.spec.features.includes('shader-f16')) return;
    const steps = 40;
    const { records, updates } = await trained('f16', steps, { lossScale: 2 ** 40 });
    const isLeftOut = records.map(({ gradNorm }) => !Number.isFinite(gradNorm));
    const left = isLeftOut.filter(Boolean).length;
    expect(isLeftOut.indexOf(false)).toBeGreaterThan(5);
    expect(left).toBeLessThan(steps / 2);
    let skipped = 0;
    records.forEach((record, step) => {
      // Until the first update: the same weights, and the same draws.
      if (skipped === step) expect(record.loss).toBe(records[0].loss);
      if (isLeftOut[step]) skipped++;
      expect(record).toMatchObject({ lossScale: 2 ** (40 - skipped), skipped });
      const before = records[step - 1]?.changed ?? 0;
      expect(record.changed !== before, `step ${step} changes weights`).toBe(!isLeftOut[step]);
    });
    expect(updates).toBe(steps - left);
  });
});
