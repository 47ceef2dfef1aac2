/**
 * How fast pictures come: a reverse step of the small digits model and of DiT-S/2, timed, and images/s from it at the
 * model's own number of steps. Steps cost the same, so a few tell of all.
 */
import { startProgram, withDevice } from '../cli/gpu.ts';
import { compile, loadModel } from '../cli/model.ts';
import { SAMPLING_ENTRIES } from '../runtime/sample.ts';
import { processTerminal } from '../cli/terminal.ts';
import type { Program } from '../runtime/index.ts';
import { measure, type Contender } from './lib/measure.ts';
import { footer, machine, options, sampleTable, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/sample.ts [MODEL.ts…] [options]   images/s (models/digits.ts and models/dit-s.ts)

  --batch N     images at a time (1)`;
const { rounds, json, positionals, count } = options(HELP, { batch: { type: 'string', default: '1' } });
const batch = count('batch');

/** The steps of one sampling after another. */
function sampling(name: string, program: Program, steps: number): Contender {
  let done = 0;
  const submit = async () => {
    if (done++ % steps === 0) await program.run('sampleStart');
    await program.run('sampleStep');
  };
  return { name, submit, finish: () => program.sync() };
}

await withDevice(async (open) => {
  const setups: { name: string; program: Program; steps: number }[] = [];
  const models = positionals.length ? positionals : ['digits', 'dit-s'].map((name) => `models/${name}.ts`);
  for (const path of models) {
    const loaded = loadModel(path);
    const entries = [...SAMPLING_ENTRIES];
    const { artefact } = compile(loaded, { device: open.spec, entries, entryOptions: { batch } });
    const program = await startProgram(open, { artefact, entries, seed: 0 }, processTerminal());
    await program.run('sampleStart');
    const [last] = await program.readState('step');
    setups.push({ name: loaded.name, program, steps: last + 1 });
  }
  const measured = await measure(
    setups.map(({ name, program, steps }) => sampling(name, program, steps)),
    rounds,
  );
  const steps = (name: string) => setups.find((setup) => setup.name === name)!.steps;
  const rate = (name: string, ms: number) => (1000 * batch) / (ms * steps(name));
  console.log(
    sampleTable(measured, {
      steps: ({ name }) => String(steps(name)),
      'images/s': ({ name, median }) => rate(name, median).toPrecision(3),
    }),
  );
  console.log(footer(measured, open.spec));
  const rates = measured.samples.map(({ name, median }) => ({
    name,
    steps: steps(name),
    imagesPerSecond: rate(name, median),
  }));
  writeJson(json, { machine: machine(open.spec), batch, ...measured, rates });
  for (const { program } of setups) program.close();
});
