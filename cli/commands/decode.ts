/** `ditc decode`: latents to pictures. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { CHECKPOINT, ALLOW_NON_FINITE, PART, part, realNumber, wholeNumber } from '../options.ts';
import { COLUMNS, columns, OVERWRITE, PICTURES_AT_ONCE, picturesAtOnce, SCALE, scale } from '../picture-options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import { plural, seconds } from '../text.ts';

interface Options {
  vae: string;
  weights?: string;
  part?: Part;
  allowNonFinite?: boolean;
  latents: string;
  latentScale?: number;
  out: string;
  columns?: number;
  scale?: number;
  overwrite?: true;
  count?: number;
  batch?: number;
  json?: boolean;
}

export const decodeCommand = (context: Context): Command =>
  new Command('decode')
    .description('Decodes latents to pictures: samples of a latent model, or what ditc encode made.')
    .requiredOption('--vae <model>', 'the autoencoder’s model file, such as models/vae-f8.ts')
    .option('--weights <file>', `its weights: ${CHECKPOINT} (default: MODEL.safetensors beside it)`)
    .option(...PART, part)
    .requiredOption(
      '--latents <file>',
      '.npy of ditc sample or .safetensors with latents [N,L,h,w], scaled; or moments, whose means are taken',
    )
    .requiredOption('-o, --out <path>', 'FILE.png for a grid, FILE.npy for raw values, or a folder for a PNG each')
    .option(
      '--latent-scale <x>',
      'what latents are divided by (default: the model’s scalingFactor)',
      realNumber('--latent-scale', 1e-30),
    )
    .option('--count <n>', 'only the first n', wholeNumber('--count', 1))
    .option(...PICTURES_AT_ONCE, picturesAtOnce)
    .option(...COLUMNS, columns)
    .option(...SCALE, scale)
    .option(...OVERWRITE)
    .option(ALLOW_NON_FINITE, 'decode with weights, or from latents, that are infinite or NaN: black in a PNG')
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc decode --vae models/vae-f8.ts --weights sd-vae-ft-ema.safetensors --latents samples.npy --out samples.png',
        'ditc decode --vae models/emoji-vae.ts --latents emoji.safetensors --count 40 --out emoji.png',
      ),
    )
    .action((options: Options) => decode(options, context));

async function decode(options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ loadAutoencoder, weightsOf, Coder }, { withLatents, decodeRows }, { sinkFor }, gpu] = await Promise.all([
    import('../vae/autoencoder.ts'),
    import('../vae/decode.ts'),
    import('../sample-sinks.ts'),
    import('../gpu.ts'),
  ]);
  const { checkApart } = await import('../out-path.ts');
  const { startProgress } = await import('../progress.ts');
  checkApart(options.out, options.latents);
  const sink = sinkFor(options.out, options, terminal);
  const vae = loadAutoencoder(options.vae, terminal);
  const weights = weightsOf(vae, options.vae, options.weights, '--weights');
  sink.check(vae.loaded.model, vae.loaded.name, vae.picture);
  const pictures = await withLatents(options.latents, vae, options.latentScale ?? vae.scale, (rows) =>
    gpu.withWeights({ path: weights, part: options.part }, (file) =>
      gpu.withDevice(async (open) => {
        const count = Math.min(rows.count, options.count ?? Infinity);
        const { batch, part } = options;
        const nonFinite = options.allowNonFinite ? ('note' as const) : undefined;
        const coder = await Coder.open(
          open,
          vae,
          'decode',
          { weights: file!, count, batch, part, nonFinite },
          terminal,
        );
        const bar = startProgress(terminal, 'decoding', count, 'pictures');
        try {
          for await (const made of decodeRows(coder, vae, { ...rows, count }, (done) => bar.update(done)))
            await sink.add(made);
          bar.stop();
          await sink.end();
          return count;
        } finally {
          bar.stop();
          sink.close();
          coder.close();
        }
      }),
    ),
  );
  const took = performance.now() - start;
  if (options.json)
    return terminal.out(JSON.stringify({ out: options.out, pictures, seconds: Math.round(took) / 1000 }, null, 2));
  terminal.out(`wrote ${options.out}  ${plural(pictures, 'picture')}  ${seconds(took)}`);
}
