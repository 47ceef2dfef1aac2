/** `ditc invert`: from pictures to the noise that a model makes them of. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { OnMismatch } from '../../runtime/weights.ts';
import { TUNING } from '../../library/tuning/option.ts';
import { parseClasses } from '../classes.ts';
import { examples, type Context } from '../context.ts';
import { CHECKPOINT, collectInput, ON_MISMATCH, onMismatch, PART, part, precision } from '../options.ts';
import { PICTURES_AT_ONCE, picturesAtOnce } from '../picture-options.ts';
import { processOptions } from '../sample/process-options.ts';
import type { Settings } from '../sample/settings.ts';
import { plural, seconds } from '../text.ts';

interface Options extends Settings {
  data: string;
  classes?: number[];
  input?: ReadonlyMap<string, string>;
  weights?: string;
  part?: Part;
  onMismatch?: OnMismatch;
  batch?: number;
  dtype?: Precision;
  tuning?: string;
  out: string;
  json?: boolean;
}

export const invertCommand = (context: Context): Command =>
  processOptions(
    new Command('invert')
      .description('Finds the noise that pictures come of: ditc sample --noise draws them from it again.')
      .argument('<model>', 'the model file, MODEL.ts')
      .requiredOption('--data <path>', 'a picture, a folder of pictures, or what else ditc train reads: docs/data.md')
      .requiredOption('-o, --out <file>', 'FILE.npy for the noise, [N,C,H,W]')
      .option('--classes <list>', 'class of each picture, as of ditc sample (default: those of the data)', parseClasses)
      .option(
        '--input <name=file>',
        'what the model is told of each picture besides, as of ditc sample; once for each',
        collectInput,
      )
      .option('--weights <file>', `checkpoint: ${CHECKPOINT}; without one the weights are random`)
      .option(...PART, part)
      .option(...ON_MISMATCH, onMismatch),
    'Of this package’s models: ddim, of those of flow matching euler or heun',
    'the default, with which noise is found best',
  )
    .option(...PICTURES_AT_ONCE, picturesAtOnce)
    .option('--dtype <type>', 'f32 or f16, of weights and of what products read (default: f32)', precision)
    .option(...TUNING)
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc invert models/digits.ts --weights models/digits.safetensors --data seven.png --classes 7 --steps 100 --out seven.npy',
        'ditc invert models/dit-xl.ts --weights DiT-XL-2.pt --data latents.safetensors --sampler ddim --steps 250 --out noise.npy',
      ),
    )
    .action((path: string, options: Options) => invertModel(path, options, context));

async function invertModel(path: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ invert }, { checkBeside }] = await Promise.all([import('../sample/invert.ts'), import('../unread.ts')]);
  checkBeside(options, 'weights', ['part', 'onMismatch']);
  const result = await invert(path, { ...options, inputs: options.input ?? new Map() }, terminal);
  const took = performance.now() - start;
  if (options.json) {
    const made = { out: options.out, ...result, seconds: Math.round(took) / 1000 };
    return terminal.out(JSON.stringify(made, null, 2));
  }
  const { pictures, steps, settings, classes, adapter } = result;
  terminal.out(`wrote ${options.out}  noise of ${plural(pictures, 'picture')} · ${plural(steps, 'step')} each on ${adapter}  ${seconds(took)}`); // prettier-ignore
  const weights = options.weights === undefined ? '' : ` --weights ${options.weights}`;
  const same = `--sampler ${String(settings.sampler)} --steps ${String(settings.steps)} --cfg ${String(settings.cfg)}`;
  terminal.err(
    `back to pictures: ditc sample ${path}${weights} --noise ${options.out} --classes ${classes} ${same} --out back.png`,
  );
}
