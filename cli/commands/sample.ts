/** `ditc sample`: pictures of the classes asked for, from a model with sampling entries. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import { checkClasses, classesOf, parseClasses } from '../classes.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import {
  CHECKPOINT,
  ON_MISMATCH,
  onMismatch,
  ALLOW_NON_FINITE,
  PART,
  part,
  MAX_SEED,
  precision,
  realNumber,
  wholeNumber,
} from '../options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';
import { plural, seconds } from '../text.ts';
import type { Samples } from '../../runtime/sample.ts';

interface Options {
  weights?: string;
  part?: Part;
  onMismatch?: OnMismatch;
  allowNonFinite?: boolean;
  vae?: string;
  vaeWeights?: string;
  classes: number[];
  steps?: number;
  sampler?: string | true;
  eta?: number;
  cfg?: number;
  cfgChannels?: number | 'all';
  cfgInterval?: [number, number];
  seed: number;
  batch?: number;
  columns?: number;
  scale?: number;
  overwrite?: true;
  dtype?: Precision;
  out: string;
  json?: boolean;
}

/** The longest process: what models are trained with. */
const MAX_STEPS = 1000;

export const sampleCommand = (context: Context): Command =>
  new Command('sample')
    .description('Draws pictures of the classes asked for. Settings left out are the model file’s own.')
    .argument('<model>', 'the model file, MODEL.ts')
    .requiredOption(
      '--classes <list>',
      'class of each picture: 1,2,3 or 0-9, or 0-9x20 for twenty of each',
      parseClasses,
    )
    .requiredOption('-o, --out <path>', 'FILE.png for a grid, FILE.npy for raw samples, or a folder for a PNG each')
    .option('--weights <file>', `checkpoint: ${CHECKPOINT}; without one the weights are random`)
    .option(...PART, part)
    .option(...ON_MISMATCH, onMismatch)
    .option('--vae <model>', 'the model file of the autoencoder that decodes what a latent model makes')
    .option('--vae-weights <file>', `its weights: ${CHECKPOINT} (default: MODEL.safetensors beside it)`)
    .option('--steps <n>', 'reverse steps, 1 to 1000', wholeNumber('--steps', 1, MAX_STEPS))
    .option(
      '--sampler [name]',
      'ddpm, ddim, heun (two evaluations a step) or dpm++ (good in few steps); of a model of flow matching euler, heun or euler-maruyama; without a name: which the model has',
    )
    .option('--eta <x>', 'noise of ddim, 0 to 1', realNumber('--eta', 0, 1))
    .option('--cfg <scale>', 'strength of classifier-free guidance; 1 is none', realNumber('--cfg'))
    .option('--cfg-channels <n>', 'channels that are guided: the first 3 as the released code does, or all', channels)
    .option('--cfg-interval <from-to>', 'share of the process in which guidance acts, such as 0.1-0.8', shares)
    .option('--seed <n>', 'the same seed gives the same pictures', wholeNumber('--seed', 0, MAX_SEED), 0)
    .option(
      '--batch <n>',
      'pictures at once; they are the same for any (default: at most 8, and what fits)',
      wholeNumber('--batch', 1, 65535),
    )
    .option(
      '--columns <n>',
      'pictures in a row of the grid (default: 4, or 10 for more than 8)',
      wholeNumber('--columns', 1, 10000),
    )
    .option(
      '--scale <n>',
      'pixels a side of each pixel in the grid (default: as many as show a picture at least 64 a side)',
      wholeNumber('--scale', 1, 64),
    )
    .option('--overwrite', 'replace the pictures that a former run left in the folder')
    .option('--dtype <type>', 'f32 or f16, of weights and of what products read (default: f32)', precision)
    .option(ALLOW_NON_FINITE, 'draw with weights that are infinite or NaN, and write such samples: black in a PNG')
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc sample models/digits.ts --weights models/digits.safetensors --classes 0-9 --out digits.png',
        'ditc sample models/digits.ts --weights digits.pt --classes 3x100 --sampler ddpm --steps 250 --cfg 1.5 --out threes/',
      ),
    )
    .action((path: string, options: Options) => sampleModel(path, options, context));

async function sampleModel(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ loadModel, signatureOf }, sampler, { sinkFor }] = await Promise.all([
    import('../model.ts'),
    import('../../runtime/sample.ts'),
    import('../sample-sinks.ts'),
  ]);
  const sink = sinkFor(options.out, options, terminal);
  const loaded = loadModel(path, terminal);
  const { model, source, name } = loaded;
  sampler.checkSampler(Object.keys(model.entries), source);
  const settings = settingsOf(name, model, options);
  const { inputs, states } = signatureOf(loaded, 'sampleStep', { ...settings, batch: 1 });
  const labels = inputs.find((input) => input.name === 'y');
  checkClasses(options.classes, classesOf(model, labels), name);
  const [, ...image] = sampler.sampleShape(states);
  const { LatentDecoder } = await import('../vae/decoding-sink.ts');
  const decoder = options.vae === undefined ? undefined : LatentDecoder.load(options.vae, options.vaeWeights, terminal);
  if (decoder) decoder.check(sink, name, image);
  else sink.check(model, name, image);
  const { RANDOM_WEIGHTS, startProgram, withDevice, withWeights } = await import('../gpu.ts');
  const { compileSampler } = await import('../sampler-batch.ts');
  const { startProgress } = await import('../progress.ts');

  const result = await withWeights({ path: options.weights, part: options.part }, (weights) =>
    withDevice(async (open) => {
      const artefact = compileSampler(loaded, open.spec, settings, options.classes.length, { ...options, terminal });
      const [batch] = sampler.sampleShape(artefact.manifest.states);
      if (!weights) terminal.err(`note: ${RANDOM_WEIGHTS}`);
      const entries = sampler.SAMPLING_ENTRIES;
      const { seed, part, allowNonFinite } = options;
      const nonFinite = allowNonFinite ? 'note' : 'refuse';
      const setup = { artefact, entries, weights, seed, part, nonFinite, onMismatch: options.onMismatch } as const;
      const program = await startProgram(open, setup, terminal);
      const bar = startProgress(terminal, 'sampling', Math.ceil(options.classes.length / batch), 'steps');
      let [began, steps] = [0, 0];
      const onStep = (done: number, total: number) => {
        if (done === 1) began = performance.now();
        bar.update((steps = done), total);
      };
      try {
        const job = { classes: options.classes, seed: options.seed, cfg: Number(settings.cfg ?? 1), onStep };
        const draw = async (add: (samples: Samples) => Promise<void>) => {
          for await (const samples of sampler.drawSamples(program, job)) await add(samples);
        };
        const into = { open, count: options.classes.length, terminal, nonFinite } as const;
        if (decoder) await decoder.into(sink, into, draw);
        else await draw((samples) => sink.add(samples));
        // Without the first step, in which drivers compile the kernels.
        const stepsPerSecond = steps > 1 ? (steps - 1) / ((performance.now() - began) / 1000) : undefined;
        bar.stop();
        await sink.end();
        return {
          pictures: options.classes.length,
          batch,
          steps,
          stepsPerSecond,
          adapter: open.spec.name,
        };
      } finally {
        bar.stop();
        sink.close();
        program.close();
      }
    }),
  );
  const took = performance.now() - start;
  if (options.json) {
    terminal.out(JSON.stringify({ out: options.out, ...result, seconds: Math.round(took) / 1000 }, null, 2));
    return;
  }
  const { pictures, steps, stepsPerSecond, batch, adapter } = result;
  const speed = stepsPerSecond ? `, ${stepsPerSecond.toPrecision(3)} per second` : '';
  const rate = `${plural(steps, 'step')} of batch ${batch}${speed} on ${adapter}`;
  terminal.out(`wrote ${options.out}  ${plural(pictures, 'picture')} · ${rate}  ${seconds(took)}`);
}

/** `--cfg-channels`: a count, or `all`; 4 is all of them too. */
const channels = (text: string): number | 'all' => (text === 'all' ? text : wholeNumber('--cfg-channels', 1)(text));

/** `--cfg-interval`: two numbers in order, from 0 to 1. */
function shares(text: string): [number, number] {
  const [, from, to] = (/^([\d.]+)-([\d.]+)$/.exec(text) ?? []).map(Number);
  if (from <= to && to <= 1) return [from, to];
  throw new UsageError({
    what: `--cfg-interval is ${text || 'empty'}`,
    fix: 'give two numbers in order, such as 0.1-0.8',
  });
}

/** Throws unless a word that an option is given is one that the model has. */
function checkChoice(
  option: string,
  given: string | true | undefined,
  known: readonly string[] = [],
  name: string,
): void {
  if (given === undefined || (given !== true && (!known.length || known.includes(given)))) return;
  const what = given === true ? `${option} is empty` : `${option}: ${name} has no ${given}`;
  throw new UsageError({ what, fix: known.length ? `use ${known.join(' or ')}` : `give one that ${name} knows` });
}

/** Options of the sampling entries: the command's, over the model file's. */
function settingsOf(
  name: string,
  model: Model,
  { steps, sampler, eta, cfg, cfgChannels, cfgInterval }: Options,
): Record<string, unknown> {
  const given = Object.entries({ steps, sampler, eta, cfg, cfgChannels, cfgInterval }).filter(
    ([, value]) => value !== undefined,
  );
  const settings: Record<string, unknown> = { ...model.options, ...Object.fromEntries(given) };
  checkChoice('--sampler', sampler, model.choices?.sampler, name);
  if (eta !== undefined && settings.sampler !== 'ddim') {
    throw new UsageError({
      what: '--eta is a setting of ddim',
      why: `the sampler is ${settings.sampler}`,
      fix: 'leave --eta out, or add --sampler ddim where the model has it',
    });
  }
  return settings;
}
