/** `ditc eval`: how far a set of pictures is from another, as the field measures it. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { CHECKPOINT, wholeNumber } from '../options.ts';
import { seconds, table } from '../text.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Known, Measures } from '../eval/measure.ts';
import type { OpenSet } from '../eval/open.ts';
import type { PictureSet } from '../eval/pictures.ts';
import type { LoadedModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';

interface Options {
  features: string;
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
    .option('--features <model>', 'the network to compare by: docs/eval.md', 'models/inception.ts')
    .option('--weights <file>', `its weights: ${CHECKPOINT}; needed for pictures`)
    .option('--num <n>', 'the first N of the samples (default: all)', wholeNumber('--num', 2))
    .option('--batch <n>', 'pictures at once', wholeNumber('--batch', 1, 65535), 8)
    .option('--save <file>', 'write the statistics of the samples to FILE.npz')
    .option('--json', 'print the measures as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc eval samples/ VIRTUAL_imagenet256_labeled.npz --weights pt_inception-2015-12-05.pth',
        'ditc eval samples.npz train/ --weights pt_inception-2015-12-05.pth --num 10000',
        'ditc eval train/ --weights pt_inception-2015-12-05.pth --save train.npz',
      ),
    )
    .action((samples: string, reference: string | undefined, options: Options) =>
      evaluate(samples, reference, options, context),
    );

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
  if (options.weights === undefined) {
    const fix =
      'give --weights FILE, such as pytorch-fid’s pt_inception-2015-12-05.pth, or statistics in place of pictures';
    throw new UsageError({ what: 'pictures are compared by a network, and it has no weights', fix });
  }
  const [gpu, { loadModel }] = await Promise.all([import('../gpu.ts'), import('../model.ts')]);
  const loaded = loadModel(options.features);
  const known: Known[] = [];
  await gpu.withDevice(async (open) => {
    for (const { pictures, statistics } of sets) {
      known.push(
        pictures
          ? await gpu.withWeights(options.weights, (weights) => {
              return seen(pictures, { open, loaded, weights: weights!, batch: options.batch, terminal });
            })
          : { statistics: statistics! },
      );
    }
  });
  return known;
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
  const { open, loaded, weights, terminal } = setup;
  const batch = Math.min(setup.batch, pictures.count);
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
