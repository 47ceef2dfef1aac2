/**
 * What a training step costs beside the forward pass that it contains: DiT-S/4 at batch 8 unless told, both compiled into
 * one program, taking turns. A backward pass is twice the forward's products; the rest is loss, optimiser and average.
 */
import { withDevice } from '../cli/gpu.ts';
import { compileModel } from '../compiler/compile.ts';
import { dit, sizes } from '../models/dit.ts';
import { Program } from '../runtime/index.ts';
import { initialise } from '../runtime/weights.ts';
import { measure, type Contender } from './lib/measure.ts';
import { footer, machine, options, sampleTable, writeJson } from './lib/report.ts';
import { values } from './lib/check.ts';

const HELP = `npx tsx bench/training.ts [options]   a training step beside the forward pass

  --depth N     blocks (12)
  --patch N     patch size (4)
  --batch N     images (8)`;
const { rounds, json, count } = options(HELP, {
  depth: { type: 'string', default: '12' },
  patch: { type: 'string', default: '4' },
  batch: { type: 'string', default: '8' },
});

await withDevice(async (open) => {
  const [depth, patchSize, batch] = [count('depth'), count('patch'), count('batch')];
  const model = dit({ ...sizes.S, patchSize, depth });
  const entries = ['forward', 'trainStart', 'trainStep'];
  const artefact = compileModel(model, {
    ...{ name: 'bench', source: 'models/dit.ts', device: open.spec, entries },
    entryOptions: { ...model.options, batch },
  });
  const program = await Program.create(open.device, artefact);
  await initialise(program, artefact, 0);
  for (const name of ['forward', 'trainStep']) {
    for (const { name: input, shape, dtype } of artefact.manifest.entries[name].inputs) {
      const length = shape.reduce((n, size) => n * size, 1);
      const drawn = values(length, 1, 1);
      if (dtype === 'f32') program.write(input, input === 't' ? drawn.map((x) => 500 + 400 * x) : drawn);
      else if (dtype === 'i32')
        program.write(
          input,
          Int32Array.from({ length }, (_, i) => (i * 37) % 1000),
        );
      else program.write(input, new Uint32Array(length));
    }
  }
  await program.run('trainStart');
  const turn = (name: string): Contender => ({ name, submit: () => program.run(name), finish: () => program.sync() });
  const measured = await measure([turn('forward'), turn('trainStep')], rounds);
  const entry = (name: string) => artefact.manifest.entries[name];
  console.log(
    sampleTable(measured, {
      dispatches: ({ name }) => String(entry(name).dispatches.length),
      'activations MB': ({ name }) => (entry(name).memory.activationPeakBytes / 1e6).toFixed(1),
    }),
  );
  console.log(footer(measured, open.spec));
  writeJson(json, {
    machine: machine(open.spec),
    model: `DiT-S/${patchSize} of ${depth} blocks, batch ${batch}`,
    ...measured,
  });
  program.close();
});
