/** `ditc eval`: how far a set of pictures is from another, as the field measures it. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { CHECKPOINT, wholeNumber } from '../options.ts';
import { seconds, table } from '../text.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Known, Measures } from '../eval/measure.ts';
import type { Named, OnnxFeatures, Pixels } from '../eval/onnx.ts';
import type { OpenSet } from '../eval/open.ts';
import type { PictureSet } from '../eval/pictures.ts';
import type { LoadedModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';

interface Options {
  features: string;
  output: Named;
  pixels?: Pixels;
  weights?: string;
  num?: number;
  batch: number;
  save?: string;
  json?: boolean;
}

export const evalCommand = (context: Context): Command =>
  new Command('eval')
    .description(
      'Measures a set of pictures against another: FID, sFID, inception score, precision and recall. A set is a folder of ' +
        'pictures, an array of them (.npy, or .npz with arr_0: uint8 [N,H,W,3]), or saved statistics (.npz with mu and sigma).',
    )
    .argument('<samples>', 'the pictures to be measured')
    .argument('[reference]', 'what they are measured against; without it, the inception score alone')
    .option(
      '--features <model>',
      'the network to compare by, MODEL.ts or NET.onnx: docs/eval.md',
      'models/inception.ts',
    )
    .option(
      '--output <name>',
      'of an ONNX network: the value that is the features, or pool=NAME, spatial=NAME, logits=NAME; once for each',
      collectOutput,
      {},
    )
    .option(
      '--pixels <range>',
      `of an ONNX network: what pixels are to it, one of ${PIXELS.join(' ')} (default: 0,255)`,
      pixels,
    )
    .option('--weights <file>', `its weights: ${CHECKPOINT}; needed for pictures, but by an ONNX network`)
    .option('--num <n>', 'the first N of the samples (default: all)', wholeNumber('--num', 2))
    .option('--batch <n>', 'pictures at once', wholeNumber('--batch', 1, 65535), 8)
    .option('--save <file>', 'write the statistics of the samples to FILE.npz')
    .option('--json', 'print the measures as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc eval samples/ VIRTUAL_imagenet256_labeled.npz --weights pt_inception-2015-12-05.pth',
        'ditc eval samples.npz train/ --weights pt_inception-2015-12-05.pth --num 10000',
        'ditc eval samples/ train/ --features resnet.onnx --output /avgpool/GlobalAveragePool_output_0 --pixels imagenet',
        'ditc eval train/ --weights pt_inception-2015-12-05.pth --save train.npz',
      ),
    )
    .action((samples: string, reference: string | undefined, options: Options) =>
      evaluate(samples, reference, options, context),
    );

const OUTPUTS: readonly (keyof Named)[] = ['pool', 'spatial', 'logits'];

/** `pool` unless told; names of ONNX's own may have a = too. */
function collectOutput(given: string, known: Named): Named {
  const name = OUTPUTS.find((output) => given.startsWith(`${output}=`)) ?? 'pool';
  const value = given.startsWith(`${name}=`) ? given.slice(name.length + 1) : given;
  const fix = `give --output ${name}=NAME once`;
  if (!value) throw new UsageError({ what: `--output is ${given ? `${given}, which names no value` : 'empty'}`, fix });
  if (known[name] !== undefined) throw new UsageError({ what: `--output names ${name} twice`, fix });
  return { ...known, [name]: value };
}

const PIXELS: readonly Pixels[] = ['0,255', '0,1', '-1,1', 'imagenet'];

function pixels(given: string): Pixels {
  const found = PIXELS.find((range) => range === given);
  if (found) return found;
  throw new UsageError({ what: `--pixels is ${given}`, fix: `give one of ${PIXELS.join(' ')}` });
}

async function evaluate(
  samples: string,
  reference: string | undefined,
  options: Options,
  { terminal }: Context,
): Promise<void> {
  const start = performance.now();
  if (options.save !== undefined && !/\.npz$/i.test(options.save))
    throw new UsageError({ what: `--save is ${options.save || 'empty'}`, fix: 'give FILE.npz' });
  const [{ openSet }, { measure }, { startProgress }, { checkOutputFile }, { writeStatistics }] = await Promise.all([
    import('../eval/open.ts'),
    import('../eval/measure.ts'),
    import('../progress.ts'),
    import('../out-path.ts'),
    import('../eval/statistics.ts'),
  ]);
  if (options.save !== undefined) checkOutputFile(options.save);
  const sets = [await openSet(samples, options.num), ...(reference === undefined ? [] : [await openSet(reference)])];
  try {
    if (sets.length === 1 && !sets[0].pictures && options.save === undefined) {
      const fix = 'give what they are to be measured against, or pictures';
      throw new UsageError({ what: `${samples} holds statistics alone`, why: 'a score is of pictures', fix });
    }
    const known = await knownOf(sets, options, terminal);
    if (options.save !== undefined) await writeStatistics(options.save, known[0].statistics);
    const bar = startProgress(terminal, 'comparing neighbours', 1, '');
    const measures = measure(known[0], known[1], (share) => bar.update(share));
    bar.stop();
    const took = performance.now() - start;
    if (options.json) terminal.out(JSON.stringify({ samples, reference, ...measures, seconds: took / 1000 }, null, 2));
    else terminal.out(report(measures, options.save, took));
  } finally {
    for (const set of sets) await set.close();
  }
}

/** Statistics as they were saved; pictures through the network, on the device. */
async function knownOf(sets: readonly OpenSet[], options: Options, terminal: Terminal): Promise<Known[]> {
  if (sets.every(({ pictures }) => !pictures)) return sets.map(({ statistics }) => ({ statistics: statistics! }));
  const { loaded, batch } = await featuresOf(options, terminal);
  const path = options.weights ?? loaded.weights;
  const gpu = await import('../gpu.ts');
  const known: Known[] = [];
  await gpu.withDevice(async (open) => {
    for (const { pictures, statistics } of sets) {
      known.push(
        pictures
          ? await gpu.withWeights(path, (weights) =>
              seen(pictures, {
                open,
                loaded,
                weights: weights!,
                batch: batch ?? Math.min(options.batch, pictures.count),
                terminal,
              }),
            )
          : { statistics: statistics! },
      );
    }
  });
  return known;
}

/** The network, and how many pictures it takes at once where that is its own. */
async function featuresOf(options: Options, terminal: Terminal): Promise<OnnxFeatures> {
  const { isOnnx, loadModel } = await import('../model.ts');
  const { features, output, pixels, weights } = options;
  if (!isOnnx(features)) {
    const given = pixels !== undefined ? '--pixels' : Object.keys(output).length ? '--output' : undefined;
    if (given) {
      const why = `${features} has an entry that says it`;
      throw new UsageError({ what: `${given} is for ONNX networks`, why, fix: 'leave it out' });
    }
    if (weights !== undefined) return { loaded: loadModel(features, terminal) };
    const fix =
      'give --weights FILE, such as pytorch-fid’s pt_inception-2015-12-05.pth, or statistics in place of pictures';
    throw new UsageError({ what: 'pictures are compared by a network, and it has no weights', fix });
  }
  const { onnxFeatures } = await import('../eval/onnx.ts');
  return onnxFeatures(features, output, pixels);
}

interface Setup {
  readonly open: OpenDevice;
  readonly loaded: LoadedModel;
  readonly weights: TensorFile;
  readonly batch: number;
  readonly terminal: Terminal;
}

async function seen(pictures: PictureSet, setup: Setup): Promise<Known> {
  const [{ Network }, { lookAt }, { startProgress }] = await Promise.all([
    import('../eval/network.ts'),
    import('../eval/measure.ts'),
    import('../progress.ts'),
  ]);
  const { open, loaded, weights, batch, terminal } = setup;
  const network = await Network.open(open, loaded, { weights, batch, size: pictures.size }, terminal);
  const bar = startProgress(terminal, 'looking at pictures', pictures.count, 'pictures');
  try {
    return await lookAt(pictures, network, (done) => bar.update(done));
  } finally {
    bar.stop();
    network.close();
  }
}

const NAMES: Readonly<Record<keyof Measures, string>> = {
  fid: 'FID',
  sfid: 'sFID',
  inceptionScore: 'inception score',
  precision: 'precision',
  recall: 'recall',
};

function report(measures: Measures, saved: string | undefined, took: number): string {
  const found = (Object.keys(NAMES) as (keyof Measures)[]).filter((name) => measures[name] !== undefined);
  const rows = found.map((name) => [
    NAMES[name],
    measures[name]!.toFixed(name === 'precision' || name === 'recall' ? 4 : 3),
  ]);
  return [...table(rows, new Set([1])), ...(saved ? [`wrote ${saved}`] : []), seconds(took)].join('\n');
}
