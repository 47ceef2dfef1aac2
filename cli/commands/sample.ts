/** `ditc sample`: pictures of the classes asked for, from a model with sampling entries. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import { checkClasses, classesOf, parseClasses } from '../classes.ts';
import { examples, type Context } from '../context.ts';
import {
  CHECKPOINT,
  ON_MISMATCH,
  onMismatch,
  ALLOW_NON_FINITE,
  collectInput,
  PART,
  part,
  MAX_SEED,
  precision,
  realNumber,
  wholeNumber,
} from '../options.ts';
import { UsageError } from '../errors.ts';
import { atOption } from '../option-place.ts';
import { COLUMNS, columns, OVERWRITE, PICTURES_AT_ONCE, picturesAtOnce, SCALE, scale } from '../picture-options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';
import { processOptions } from '../sample/process-options.ts';
import { SETTINGS, settingsOf, type Settings } from '../sample/settings.ts';
import { plural, seconds } from '../text.ts';
import { TUNING } from '../../library/tuning/option.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Samples } from '../../runtime/sample.ts';
import type { Range } from '../sample/shard.ts';
import type { Sink } from '../sample-sinks.ts';

interface Options extends Settings {
  weights?: string;
  part?: Part;
  onMismatch?: OnMismatch;
  allowNonFinite?: boolean;
  vae?: string;
  vaeWeights?: string;
  classes?: number[];
  input?: ReadonlyMap<string, string>;
  num?: number;
  shard?: string;
  noise?: string;
  seed: number;
  batch?: number;
  columns?: number;
  scale?: number;
  overwrite?: true;
  dtype?: Precision;
  tuning?: string;
  out: string;
  json?: boolean;
}

export const sampleCommand = (context: Context): Command =>
  processOptions(
    new Command('sample')
      .description('Draws pictures of the classes asked for. Settings left out are the model file’s own.')
      .argument('<model>', 'the model file, MODEL.ts')
      .option(
        '--classes <list>',
        'class of each picture: 1,2,3 or 0-9, or 0-9x20 for twenty of each; with --num, over and over',
        parseClasses,
      )
      .option(
        '--input <name=file>',
        'what the model is told of each picture besides, such as context=texts.npy: .npy, .npz or .safetensors, a row for each picture, or one ' +
          'for all; once for each',
        collectInput,
      )
      .requiredOption('-o, --out <path>', 'FILE.png for a grid, FILE.npy for raw samples, or a folder for a PNG each')
      .option(
        '--num <n>',
        'so many pictures, of classes drawn from the seed unless given, as bytes into the folder OUT: it goes on where it was ' +
          'broken off, and ditc merge makes PNGs or the evaluators’ .npz of it',
        wholeNumber('--num', 1, 10_000_000),
      )
      .option(
        '--shard <i/n>',
        'of --num, only part i of n, from 0, into a folder that all share; the pictures are the same for any n. auto or auto/n: i from the ' +
          'job (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX)',
      )
      .option('--weights <file>', `checkpoint: ${CHECKPOINT}; without one the weights are random`)
      .option(...PART, part)
      .option(...ON_MISMATCH, onMismatch)
      .option('--vae <model>', 'the model file of the autoencoder that decodes what a latent model makes')
      .option('--vae-weights <file>', `its weights: ${CHECKPOINT} (default: MODEL.safetensors beside it)`),
    'Of this package’s models: ddpm, ddim, heun (two evaluations a step) or dpm++ (good in few steps), of those of flow matching euler, heun or ' +
      'euler-maruyama',
    '1.5 to 8 is usual',
  )
    .option('--eta <x>', 'noise of ddim, 0 to 1', realNumber('--eta', 0, 1))
    .option('--noise <file>', 'FILE.npy to draw from instead of noise of the seed, as ditc invert writes it')
    .option('--seed <n>', 'the same seed gives the same pictures', wholeNumber('--seed', 0, MAX_SEED), 0)
    .option(...PICTURES_AT_ONCE, picturesAtOnce)
    .option(...COLUMNS, columns)
    .option(...SCALE, scale)
    .option(...OVERWRITE)
    .option('--dtype <type>', 'f32 or f16, of weights and of what products read (default: f32)', precision)
    .option(...TUNING)
    .option(ALLOW_NON_FINITE, 'draw with weights that are infinite or NaN, and write such samples: black in a PNG')
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-9 --out digits.png',
        'ditc sample models/digits.ts --weights digits.pt --classes 3x100 --sampler heun --steps 50 --cfg 1.5 --out threes/',
        'ditc sample models/digits.ts --weights digits.pt --num 50000 --shard 0/4 --batch 32 --out run/',
      ),
    )
    .action((path: string, options: Options) => sampleModel(path, options, context));

async function sampleModel(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ loadModel, signatureOf }, sampler, { sinkFor, finiteOnly }, { Drawing }, unread] = await Promise.all([
    import('../model.ts'),
    import('../../runtime/sample.ts'),
    import('../sample-sinks.ts'),
    import('../sample/drawing.ts'),
    import('../unread.ts'),
  ]);
  unread.checkBeside(options, 'weights', ['part', 'onMismatch']);
  unread.checkBeside(options, 'vae', ['vaeWeights']);
  const load = () => {
    const loaded = loadModel(path, terminal);
    sampler.checkSampler(Object.keys(loaded.model.entries), loaded.source);
    return loaded;
  };
  // That a model draws nothing matters more than that nobody said what to draw.
  if (options.classes === undefined && options.num === undefined) load();
  const drawing = new Drawing(options);
  const sink = drawing.shard
    ? finiteOnly(drawing.shard.sink, options, terminal)
    : sinkFor(options.out, options, terminal);
  const loaded = load();
  const { model, name } = loaded;
  const settings = settingsOf(name, model, options);
  const given = SETTINGS.filter((name) => options[name] !== undefined);
  const traced = { ...settings, batch: 1 };
  const { inputs, states } = atOption(given, () => signatureOf(loaded, 'sampleStep', traced));
  const note = unread.unreadOptions(loaded, sampler.SAMPLING_ENTRIES, traced, given);
  if (note) terminal.err(`note: ${note}`);
  const labels = inputs.find((input) => input.name === 'y');
  const classes = drawing.classes(classesOf(model, labels));
  checkClasses(options.classes ?? [], classesOf(model, labels), name);
  const ofPictures = options.input?.size ? '--input' : options.noise !== undefined ? '--noise' : undefined;
  if (options.num !== undefined && ofPictures)
    throw new UsageError({
      what: `${ofPictures} and --num exclude each other`,
      fix: 'leave --num out, and give --classes 0xN for N pictures',
    });
  const { readConditions } = await import('../sample/conditions.ts');
  const { readNoise } = await import('../sample/noise.ts');
  const { givenFrom } = await import('../../runtime/conditions.ts');
  const conditions = await readConditions(inputs, options.input ?? new Map(), classes.length);
  const [, ...image] = sampler.sampleShape(states);
  const size = image.reduce((a, b) => a * b);
  const noise = options.noise === undefined ? undefined : await readNoise(options.noise, image, classes.length);
  const { LatentDecoder } = await import('../vae/decoding-sink.ts');
  const decoder = options.vae === undefined ? undefined : LatentDecoder.load(options.vae, options.vaeWeights, terminal);
  if (decoder) decoder.check(sink, name, image);
  else sink.check(model, name, image);
  const { RANDOM_WEIGHTS, startProgram, withWeights } = await import('../gpu.ts');
  const { withLastingDevice } = await import('../recovery.ts');
  const { compileSampler } = await import('../sampler-batch.ts');
  const { startProgress } = await import('../progress.ts');

  /** The place after the last picture that the sink has. */
  let kept = 0;

  /** Draws pictures `first` … of all; gives the steps taken, and how many a second without the first, in which drivers compile. */
  const drawRange = async (
    open: OpenDevice,
    artefact: Artefact,
    weights: TensorFile | undefined,
    { first, count }: Range,
  ): Promise<{ steps: number; stepsPerSecond?: number }> => {
    const { seed, part, onMismatch, allowNonFinite } = options;
    const nonFinite = allowNonFinite ? 'note' : 'refuse';
    const setup = { artefact, entries: sampler.SAMPLING_ENTRIES, weights, seed, part, nonFinite, onMismatch } as const;
    const program = await startProgram(open, setup, terminal);
    const [batch] = sampler.sampleShape(artefact.manifest.states);
    const bar = startProgress(terminal, 'sampling', Math.ceil(count / batch), 'steps');
    let [began, steps] = [0, 0];
    const onStep = (done: number, total: number) => {
      if (done === 1) began = performance.now();
      bar.update((steps = done), total);
    };
    try {
      const wanted = classes.slice(first, first + count);
      const cfg = Number(settings.cfg ?? 1);
      const given = givenFrom(inputs, conditions, first);
      const job = { classes: wanted, first, seed, cfg, given, noise: noise?.subarray(first * size), onStep };
      const draw = async (add: (samples: Samples) => Promise<void>) => {
        for await (const samples of sampler.drawSamples(program, job)) await add(samples);
      };
      const into = { open, count: classes.length, terminal, nonFinite } as const;
      const counting: Sink = {
        ...sink,
        async add(samples) {
          await sink.add(samples);
          kept = samples.first + samples.shape[0];
        },
      };
      if (decoder) await decoder.into(counting, into, draw);
      else await draw((samples) => counting.add(samples));
      const took = (performance.now() - began) / 1000;
      return { steps, stepsPerSecond: steps > 1 ? (steps - 1) / took : undefined };
    } finally {
      bar.stop();
      program.close();
    }
  };

  let range: Range | undefined;
  const sampleOn = async (open: OpenDevice, weights: TensorFile | undefined) => {
    const artefact = compileSampler(loaded, open.spec, settings, classes.length, { ...options, terminal });
    const [batch] = sampler.sampleShape(artefact.manifest.states);
    if (!range) {
      if (!weights) terminal.err(`note: ${RANDOM_WEIGHTS}`);
      const made = { loaded, settings, decoder, batch, adapter: open.spec.name };
      range = await drawing.begin(made, terminal);
      kept = range.first;
    }
    const left = { first: kept, count: range.first + range.count - kept };
    const drawn = left.count ? await drawRange(open, artefact, weights, left) : { steps: 0, stepsPerSecond: undefined };
    await sink.end();
    return { pictures: range.count, batch, ...drawn, adapter: open.spec.name };
  };

  const result = await withWeights({ path: options.weights, part: options.part }, async (weights) => {
    const work = (open: OpenDevice) => sampleOn(open, weights);
    const isKept = () => range !== undefined && kept > range.first;
    const resume = async () => {
      const from = isKept() ? `and sampling goes on from picture ${kept}, the first that is not there` : 'and sampling begins anew: no picture was there yet'; // prettier-ignore
      return { from, work };
    };
    try {
      return await withLastingDevice(terminal, work, resume);
    } finally {
      sink.close();
    }
  });
  const took = performance.now() - start;
  const out = drawing.shard?.path ?? options.out;
  if (options.json) {
    terminal.out(JSON.stringify({ out, ...result, seconds: Math.round(took) / 1000 }, null, 2));
    return;
  }
  const { pictures, steps, stepsPerSecond, batch, adapter } = result;
  const speed = stepsPerSecond ? `, ${stepsPerSecond.toPrecision(3)} per second` : '';
  const rate = `${plural(steps, 'step')} of batch ${batch}${speed} on ${adapter}`;
  terminal.out(`wrote ${out}  ${plural(pictures, 'picture')} · ${rate}  ${seconds(took)}`);
}
