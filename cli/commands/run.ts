/** `ditc run`: one entry, run once or some times in a row, arrays in and arrays out. */
import { Command } from 'commander';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Artefact, EntrySpec, TensorSpec } from '../../compiler/emit/artefact.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import type { Values } from '../../runtime/weights.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { startProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { collectInput, MAX_SEED, precision, wholeNumber } from '../options.ts';
import { seconds } from '../text.ts';

interface Options {
  entry: string;
  weights?: string;
  batch?: number;
  dtype?: Precision;
  seed: number;
  runs: number;
  input: ReadonlyMap<string, string>;
  out: string;
  json?: boolean;
}

export const runCommand = (context: Context): Command =>
  new Command('run')
    .description(
      'Runs one entry of a model: inputs from .npy or .npz files, outputs to .npy files. What the run leaves in states is written too, and, ' +
        'where it changes weights, weights.safetensors: --weights takes it.',
    )
    .argument('<model>', 'the model file, MODEL.ts, or a folder that `ditc build` wrote')
    .requiredOption('--entry <name>', 'the entry to run')
    .option('--weights <file>', 'checkpoint, .safetensors or PyTorch .pt; without one the weights are random')
    .option('--batch <n>', 'images per run, for a model file (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--dtype <type>', 'f32 or f16, for a model file: as of ditc build (default: f32)', precision)
    .option('--seed <n>', 'seed of random weights', wholeNumber('--seed', 0, MAX_SEED), 0)
    .option(
      '--runs <n>',
      'runs in a row, of the same inputs; states and weights go from each to the next',
      wholeNumber('--runs', 1, 1_000_000),
      1,
    )
    .option(
      '--input <name=file>',
      'an input of the entry: .npy, or .npz with an array of that name; any type that holds its values exactly (fractions are rounded to float32); once for each',
      collectInput,
      new Map(),
    )
    .requiredOption('-o, --out <dir>', 'folder for the outputs: OUTPUT.npy for each')
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc run models/digits.ts --entry forward --input x=x.npy --input t=t.npy --input y=y.npy --out out',
        'ditc run codegen-out/mlp --entry step --runs 100 --weights mlp.pt --input x=x.npy --input target=target.npy --out out',
      ),
    )
    .action((path: string, options: Options) => run(path, options, context));

async function run(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const gpu = await import('../gpu.ts');
  const { checkOutputFolder } = await import('../out-path.ts');
  const { readNpy, inputValues, writeNpy } = await import('../npy.ts');
  checkOutputFolder(options.out);
  const artefactFor = await source(path, options);
  const arrays = new Map<string, Awaited<ReturnType<typeof readNpy>>>();
  for (const [name, file] of options.input) arrays.set(name, await readNpy(file, name));

  const written = await gpu.withWeights(options.weights, (weights) =>
    gpu.withDevice(async (open) => {
      const artefact = await artefactFor(open);
      const spec = artefact.manifest.entries[options.entry];
      checkInputs(spec, options);
      const inputs = spec.inputs.map((input) => {
        const file = options.input.get(input.name)!;
        return [input.name, inputValues(input, arrays.get(input.name)!, file, options.batch ?? 1)] as const;
      });
      if (isSlowToCompile(artefact, spec, open)) terminal.err(builtFor(artefact.manifest.device, open.spec.name));
      if (!weights && artefact.manifest.params.length) terminal.err(`note: ${gpu.RANDOM_WEIGHTS}`);
      const setup = { artefact, entries: [options.entry], weights, seed: options.seed };
      const program = await gpu.startProgram(open, setup, terminal);
      try {
        for (const [name, values] of inputs) program.write(name, values);
        await runSome(program, options, terminal);
        const results = await readResults(program, spec, options.entry);
        mkdirSync(options.out, { recursive: true });
        for (const { spec, values } of results) await writeNpy(join(options.out, `${spec.name}.npy`), spec, values);
        const changed = spec.changes.some(({ kind }) => kind === 'param');
        const file = join(options.out, 'weights.safetensors');
        if (changed) await writeWeights(program, file);
        return {
          weights: changed ? file : undefined,
          outputs: results.map((result) => described(result, options.out)),
        };
      } finally {
        program.close();
      }
    }),
  );
  const took = performance.now() - start;
  if (options.json) terminal.out(JSON.stringify({ ...written, seconds: Math.round(took) / 1000 }, null, 2));
  else {
    for (const { file, dtype, shape, value } of written.outputs)
      terminal.out(`${file}  ${dtype}[${shape.join(', ')}]${value === undefined ? '' : `  ${rounded(value)}`}`);
    if (written.weights)
      terminal.out(`${written.weights}  the weights after the ${options.runs > 1 ? 'last run' : 'run'}`);
    terminal.err(seconds(took));
  }
}

/** Kernels that take a software device longer to compile than anyone expects, where they were built for another. */
const MANY_KERNELS = 8;

const isSlowToCompile = ({ manifest }: Artefact, { dispatches }: EntrySpec, { spec }: OpenDevice): boolean =>
  spec.kind === 'software' &&
  manifest.device !== spec.name &&
  new Set(dispatches.map(({ kernel }) => kernel)).size > MANY_KERNELS;

const builtFor = (device: string, own: string): string =>
  `note: built for ${device}: on ${own} its kernels may take minutes to compile; ditc build --device ${own} makes others`;

async function runSome(program: Program, { entry, runs }: Options, terminal: Terminal): Promise<void> {
  const bar = startProgress(terminal, entry, runs, 'runs');
  try {
    for (let i = 1; i <= runs; i++) {
      await program.run(entry);
      bar.update(i);
    }
  } finally {
    bar.stop();
  }
}

/** A result as the command tells it: a single number with its value. */
const described = ({ spec: { name, shape, dtype }, values }: Result, folder: string) => ({
  name,
  shape,
  dtype,
  file: join(folder, `${name}.npy`),
  ...(values.length === 1 && { value: values[0] }),
});

/** A float32 has seven digits. */
const rounded = (value: number): number => Number(value.toPrecision(7));

/** All weights, as the program has them now. */
async function writeWeights(program: Program, path: string): Promise<void> {
  const { writeAtomically } = await import('../../runtime/node/file.ts');
  const { writeSafetensors } = await import('../../runtime/checkpoint/safetensors_write.ts');
  const tensors = program.manifest.params.map(({ name, shape, dtype }) => ({
    name,
    dtype: dtype as 'f32' | 'f16',
    shape: [...shape],
    async *chunks() {
      yield (await program.readParam(name)) as Float32Array;
    },
  }));
  await writeAtomically(path, (write) => writeSafetensors(write, tensors));
}

/** What `path` is, opened and checked as far as it can be without a device. */
async function source(
  path: string,
  { entry, batch, dtype }: Options,
): Promise<(open: OpenDevice) => Promise<Artefact>> {
  const { checkEntry, compile, loadModel } = await import('../model.ts');
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const loaded = loadModel(path);
    checkEntry(entry, Object.keys(loaded.model.entries), loaded.source);
    return async ({ spec }) =>
      compile(loaded, { device: spec, entries: [entry], entryOptions: { batch: batch ?? 1 }, dtype }).artefact;
  }
  const given = batch !== undefined ? '--batch' : dtype !== undefined ? '--dtype' : undefined;
  if (given)
    throw new UsageError({
      what: `${given} is for model files`,
      why: `${path} is built already`,
      fix: `build it with ${given}`,
    });
  const { readArtefact } = await import('../../runtime/node/artefact.ts');
  const artefact = await readArtefact(path);
  checkEntry(entry, Object.keys(artefact.manifest.entries), path);
  return async () => artefact;
}

/** Every input must be given, and nothing else. */
function checkInputs({ inputs }: EntrySpec, { entry, input }: Options): void {
  const list = (specs: readonly TensorSpec[]) =>
    specs.map(({ name, dtype, shape }) => `${name} ${dtype}[${shape.join(', ')}]`).join('\n');
  const unknown = [...input.keys()].filter((name) => !inputs.some((spec) => spec.name === name));
  if (unknown.length) {
    const why = inputs.length ? `its inputs are\n${list(inputs)}` : 'it has none';
    throw new UsageError({
      what: `${entry} has no input ${unknown.join(', ')}`,
      why,
      fix: 'correct the name, or leave it out',
    });
  }
  const missing = inputs.filter(({ name }) => !input.has(name));
  if (missing.length) {
    const fix = missing.map(({ name }) => `--input ${name}=${name}.npy`).join(' ');
    throw new UsageError({ what: `${entry} needs more inputs`, why: list(missing), fix: `add ${fix}` });
  }
}

interface Result {
  readonly spec: TensorSpec;
  readonly values: Values;
}

/** The outputs, and what the run changed of the states. */
async function readResults(program: Program, { outputs, changes }: EntrySpec, entry: string): Promise<Result[]> {
  const results: Result[] = [];
  for (const spec of outputs)
    results.push({ spec: spec as TensorSpec, values: await program.readOutput(entry, spec.name) });
  for (const { kind, name } of changes) {
    const spec = kind === 'state' && program.states.find((state) => state.name === name);
    if (spec && !outputs.some(({ name }) => name === spec.name))
      results.push({ spec, values: await program.readState(spec.name) });
  }
  return results;
}
