/** `ditc run`: an entry, or several in turn, run once or some times in a row, arrays in and arrays out. */
import { Command } from 'commander';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Artefact, EntrySpec, Manifest } from '../../compiler/emit/artefact.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { RunnableModel } from '../../runtime/model.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { Values } from '../../runtime/transfer.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import type { NpyArray } from '../../runtime/checkpoint/npy.ts';
import { startProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import {
  CHECKPOINT,
  ON_MISMATCH,
  onMismatch,
  collect,
  collectInput,
  collectState,
  MAX_SEED,
  precision,
  wholeNumber,
  PART,
  part,
} from '../options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';
import { describeNonFinite, findNonFinite } from '../../runtime/values.ts';
import type { Arrays } from '../run/entries.ts';
import { seconds } from '../text.ts';
import { TUNING } from '../../library/tuning/option.ts';

interface Options {
  entry: string[];
  weights?: string;
  part?: Part;
  onMismatch?: OnMismatch;
  batch?: number;
  dtype?: Precision;
  tuning?: string;
  seed: number;
  runs: number;
  input?: ReadonlyMap<string, string>;
  state?: ReadonlyMap<string, string>;
  out: string;
  overwrite?: true;
  json?: boolean;
}

export const runCommand = (context: Context): Command =>
  new Command('run')
    .description(
      'Runs an entry of a model, or several in turn: inputs from .npy or .npz files, outputs to .npy files. What they leave in states is ' +
        'written too, and, where they change weights, weights.safetensors: --weights takes it.',
    )
    .argument('<model>', 'the model file, MODEL.ts or NET.onnx, or a folder that `ditc build` wrote')
    .requiredOption(
      '--entry <name>',
      'the entry to run; given several times, they run in that order on the same states and weights',
      collect,
    )
    .option('--weights <file>', `checkpoint: ${CHECKPOINT}; without one the weights are those of NET.onnx, or random`)
    .option(...PART, part)
    .option(...ON_MISMATCH, onMismatch)
    .option('--batch <n>', 'images per run, for a model file (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--dtype <type>', 'f32 or f16, for a model file: as of ditc build (default: f32)', precision)
    .option(...TUNING)
    .option('--seed <n>', 'seed of random weights', wholeNumber('--seed', 0, MAX_SEED), 0)
    .option(
      '--runs <n>',
      'runs in a row, of the same inputs; states and weights go from each to the next. those entries that begin what others go on from (sampleStart, trainStart) run once',
      wholeNumber('--runs', 1, 1_000_000),
      1,
    )
    .option(
      '--input <name=file>',
      'an input of the entries: .npy, or .npz with an array of that name; any type that holds its values exactly (fractions are rounded to float32); once for each',
      collectInput,
    )
    .option('--state <name=file>', 'first value of a state, as .npy or .npz; once for each', collectState)
    .requiredOption('-o, --out <dir>', 'folder for the outputs: OUTPUT.npy for each')
    .option('--overwrite', 'replace what a former run left there by the same names')
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc run models/digits.ts --entry forward --input x=x.npy --input t=t.npy --input y=y.npy --out out',
        'ditc run codegen-out/mlp --entry start --entry step --runs 100 --weights mlp.pt --input x=x.npy --input target=target.npy --out out',
      ),
    )
    .action((path: string, options: Options) => run(path, options, context));

async function run(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [gpu, entries, { checkOutputFolder }, { checkNoResults }] = await Promise.all([
    import('../gpu.ts'),
    import('../run/entries.ts'),
    import('../out-path.ts'),
    import('../run/results.ts'),
  ]);
  (await import('../unread.ts')).checkBeside(options, 'weights', ['part', 'onMismatch']);
  checkOutputFolder(options.out);
  const names = options.entry;
  const { artefactFor, weights: own } = await source(path, options, terminal);
  const [inputs, states] = [await readArrays(options.input ?? new Map()), await readArrays(options.state ?? new Map())];

  const written = await gpu.withWeights({ path: options.weights ?? own, part: options.part }, (weights) =>
    gpu.withDevice(async (open) => {
      const artefact = await artefactFor(open, shapesOf(inputs));
      const { manifest } = artefact;
      entries.checkInputs(manifest, names, inputs);
      entries.checkStarted(manifest, names, states);
      if (!options.overwrite) checkNoResults(manifest, names, options.out);
      const specs = entries.specsOf(manifest, names);
      const batch = options.batch ?? 1;
      const given = names.map((_, i) => Object.fromEntries(entries.valuesFor(specs[i].inputs, inputs, batch)));
      const begun = entries.valuesFor(manifest.states, states, batch);
      if (isSlowToCompile(manifest, specs, open)) terminal.err(builtFor(manifest.device, open.spec.name));
      if (!weights && manifest.params.length) terminal.err(`note: ${gpu.RANDOM_WEIGHTS}`);
      const { seed, part } = options;
      const setup = {
        artefact,
        entries: names,
        weights,
        seed,
        part,
        nonFinite: 'note' as const,
        onMismatch: options.onMismatch,
      };
      const program = await gpu.startProgram(open, setup, terminal);
      const model = new RunnableModel({ program, release() {} }, artefact);
      try {
        for (const [name, values] of begun) await model.setState(name, values);
        const inputsOf = new Map(names.map((name, i) => [name, given[i]]));
        return await runAndWrite(model, inputsOf, options, terminal);
      } finally {
        await model.dispose();
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

async function readArrays(files: ReadonlyMap<string, string>): Promise<Arrays> {
  const { readNpy } = await import('../npy.ts');
  const arrays = new Map<string, { file: string; array: NpyArray }>();
  for (const [name, file] of files) arrays.set(name, { file, array: await readNpy(file, name) });
  return arrays;
}

type Inputs = ReadonlyMap<string, Readonly<Record<string, Values>>>;

/** Runs the entries in turn, as often as they are to be; each one's outputs are those of its last run. */
async function runAndWrite(model: RunnableModel, inputs: Inputs, options: Options, terminal: Terminal) {
  const [{ roundsOf }, results] = await Promise.all([import('../run/entries.ts'), import('../run/results.ts')]);
  const { manifest } = model;
  const names = options.entry;
  const order = roundsOf(manifest, names, options.runs).flat();
  const outputs = new Map<string, Readonly<Record<string, Tensor>>>();
  const bar = startProgress(terminal, [...new Set(names)].join(', '), order.length, 'runs');
  try {
    for (const [i, name] of order.entries()) {
      const last = order.lastIndexOf(name) === i;
      const read = await model.run(name, inputs.get(name)!, last ? {} : { outputs: [] });
      if (last) outputs.set(name, read);
      bar.update(i + 1);
    }
  } finally {
    bar.stop();
  }
  const shown = results.namedOutputs(manifest, names, outputs);
  const all = [...shown, ...(await results.changedStates(model, names, shown))];
  mkdirSync(options.out, { recursive: true });
  const written = await results.writeResults(all, options.out);
  for (const {
    name,
    tensor: { shape, data },
  } of all) {
    const found = findNonFinite(data);
    if (found) terminal.err(`note: ${name}: ${describeNonFinite(shape, found)}`);
  }
  const weights = results.changesWeights(manifest, names) ? join(options.out, results.WEIGHTS) : undefined;
  if (weights) await results.writeWeights(model, weights);
  return { weights, outputs: written };
}

/** Kernels that take a software device longer to compile than anyone expects, where they were built for another. */
const MANY_KERNELS = 8;

const isSlowToCompile = ({ device }: Manifest, entries: readonly EntrySpec[], { spec }: OpenDevice): boolean =>
  spec.kind === 'software' &&
  device !== spec.name &&
  new Set(entries.flatMap(({ dispatches }) => dispatches.map(({ kernel }) => kernel))).size > MANY_KERNELS;

const builtFor = (device: string, own: string): string =>
  `note: built for ${device}: on ${own} its kernels may take minutes to compile; ditc build --device ${own} makes others`;

/** A float32 has seven digits. */
const rounded = (value: number): number => Number(value.toPrecision(7));

/** Of the inputs that are given. */
type Shapes = ReadonlyMap<string, readonly number[]>;
const shapesOf = (inputs: Arrays): Shapes => new Map([...inputs].map(([name, { array }]) => [name, array.shape]));

interface Source {
  artefactFor(open: OpenDevice, shapes: Shapes): Promise<Artefact>;
  /** The checkpoint that comes with a model. */
  readonly weights?: string;
}

/** What `path` is, opened and checked as far as it can be without a device. */
async function source(path: string, { entry, batch, dtype, tuning }: Options, terminal: Terminal): Promise<Source> {
  const { checkEntry, compileArtefact, loadModel } = await import('../model.ts');
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const loaded = loadModel(path, terminal);
    for (const name of entry) checkEntry(name, Object.keys(loaded.model.entries), loaded.source);
    const artefactFor = async ({ spec }: OpenDevice, shapes: Shapes) =>
      compileArtefact(loaded, {
        terminal,
        device: spec,
        entries: [...new Set(entry)],
        entryOptions: { batch: batch ?? 1, ...loaded.optionsFor?.(shapes) },
        dtype,
        tuning,
      });
    return { artefactFor, weights: loaded.weights };
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
  for (const name of entry) checkEntry(name, Object.keys(artefact.manifest.entries), path);
  return { artefactFor: async () => artefact };
}
