/** `ditc tune`: measures the plans of a model's kernels on this adapter, and writes the fastest as a table that builds use. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import { EXIT, errorJson, reportError } from '../errors.ts';
import { examples, type Context } from '../context.ts';
import { collect, precision, wholeNumber } from '../options.ts';

interface Options {
  entry?: string[];
  batch?: number;
  dtype?: Precision;
  out?: string;
  again?: boolean;
  json?: boolean;
}

const NOTES = `
The compiler chooses a plan for each kernel (an algorithm, its tiles, its lanes) by rules; the fastest on your adapter may be
another. For each class of kernels (what it computes, its sizes and types) all plans that are legal are compiled, their
results held against the reference (float64; the compiler's own plan, where that takes too long), and those that are right
take turns until one is faster beyond noise. What is measured is written at once: Ctrl-C keeps it, the same command goes on.

build, run, sample, train, profile and verify find the table in the folder "tuning" beside the model's package.json, or
beside the model, when its device and driver are theirs, and say so; --tuning FILE names another, --tuning off uses none.
Sampling entries are measured as ditc sample builds them, at batch 8, the others at batch 1; training entries where they are
asked for: --entry trainStep --batch 32. docs/tuning.md has the rest.`;

export const tuneCommand = (context: Context): Command =>
  new Command('tune')
    .description('Measures which plan of each kernel is fastest on this adapter, and writes a table that builds use.')
    .argument('<model>', 'the model file, MODEL.ts')
    .option('--entry <name>', 'tune this entry only; may be repeated (default: all that a build has)', collect)
    .option('--batch <n>', 'images per run (default: 1; 8 for sampling)', wholeNumber('--batch', 1, 65535))
    .option('--dtype <type>', 'f32 or f16: as of ditc build (default: f32)', precision)
    .option(
      '-o, --out <file>',
      'the table; one that is there is added to (default: tuning/DEVICE.txt beside the model’s package.json, or the model)',
    )
    .option('--again', 'measure what the table has already, too')
    .option('--json', 'print what was measured as JSON')
    .addHelpText(
      'after',
      NOTES +
        examples(
          'ditc tune models/digits.ts',
          'ditc tune models/digits.ts --entry trainStep --batch 32',
          'ditc tune my-model.ts --dtype f16 --out tables/mine.txt',
        ),
    )
    .action((path: string, options: Options) => tune(path, options, context));

async function tune(path: string, options: Options, context: Context): Promise<void> {
  const { terminal } = context;
  const start = performance.now();
  const [
    { loadModel },
    { tuneModel },
    { tuneText, wrongError },
    { withDevice },
    { stoppable },
    { checkWritable },
    { fileError },
    path_,
  ] = await Promise.all([
    import('../model.ts'),
    import('../tuning/run.ts'),
    import('../tuning/text.ts'),
    import('../gpu.ts'),
    import('../interrupt.ts'),
    import('../out-path.ts'),
    import('../../library/file-error.ts'),
    import('node:path'),
  ]);
  if (options.out !== undefined) {
    try {
      checkWritable(path_.dirname(path_.resolve(options.out)));
    } catch (error) {
      throw fileError(options.out, 'cannot write the table', error);
    }
  }
  const loaded = loadModel(path, terminal);
  const result = await withDevice((open) => stoppable((stop) => tuneModel(loaded, open, options, terminal, stop)));
  const seconds = Math.round(performance.now() - start) / 1000;
  const failure = wrongError(result.tuned, path);
  if (failure) context.exitCode = EXIT.failed;
  if (options.json) {
    const error = failure && errorJson(failure);
    return terminal.out(JSON.stringify({ model: loaded.name, ...result, error, seconds }, null, 2));
  }
  terminal.out(tuneText(result, terminal));
  if (failure) await reportError(failure, terminal, false);
}
