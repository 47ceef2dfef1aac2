/** `ditc verify`: every kernel of a model, alone on this GPU, against the float64 interpreter. */
import { Command } from 'commander';
import { statSync } from 'node:fs';
import { examples, type Context } from '../context.ts';
import { errorJson, EXIT, reportError, UsageError } from '../errors.ts';
import { CHECKPOINT, collectInput, MAX_SEED, PART, part, precision, realNumber, wholeNumber } from '../options.ts';
import { seconds } from '../text.ts';
import { TUNING } from '../../library/tuning/option.ts';
import { SAVE_FOLDER, type VerifyOptions } from '../verify/options.ts';

export const verifyCommand = (context: Context): Command =>
  new Command('verify')
    .description(
      'Checks the kernels of a model one by one on this GPU: each result is compared with a float64 reference computed from the same values. ' +
        'The first kernel that differs is named, and saved with all that it read and wrote.',
    )
    .argument('<model>', 'the model file, MODEL.ts or NET.onnx')
    .option('--entry <name>', 'check this entry only (default: all)')
    .option('--batch <n>', 'images per run (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--dtype <type>', 'f32 or f16: as of ditc build (default: f32)', precision)
    .option('--device <spec>', 'device to compile for: a name, or a file from ditc doctor --json (default: this one)')
    .option(...TUNING)
    .option('--weights <file>', `checkpoint: ${CHECKPOINT}; without one the weights are random, none zero`)
    .option(...PART, part)
    .option('--input <name=file>', 'an input of the entries, as .npy or .npz (default: random)', collectInput)
    .option('--seed <n>', 'seed of random weights and inputs', wholeNumber('--seed', 0, MAX_SEED))
    .option('--kernel <name>', 'check this kernel only')
    .option('--all', 'check every dispatch, not only the first one of each kernel')
    .option(
      '--tolerance <x>',
      'largest relative error allowed (default: 1e-5 for f32, 5e-3 for f16)',
      realNumber('--tolerance', 0),
    )
    .option('--save <dir>', `folder for the first check that fails, as DIR/<kernel>/ (default: ${SAVE_FOLDER})`)
    .option('--json', 'print every check as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc verify models/digits.ts',
        'ditc verify models/digits.ts --entry sampleStep --weights digits.pt --kernel fc1_gelu --all',
      ),
    )
    .action((path: string, options: VerifyOptions) => verify(path, options, context));

async function verify(path: string, options: VerifyOptions, context: Context): Promise<void> {
  const start = performance.now();
  (await import('../unread.ts')).checkBeside(options, 'weights', ['part']);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const why = 'what a kernel should compute is known only while the model is compiled';
    throw new UsageError({ what: `${path} is a folder`, why, fix: 'give the model file it was built from' });
  }
  const [{ checkEntry, compile, loadModel }, { findDevice }, gpu, { readInputs, verifyCompiled }, report] =
    await Promise.all([
      import('../model.ts'),
      import('../../library/device.ts'),
      import('../gpu.ts'),
      import('../verify/run.ts'),
      import('../verify/report.ts'),
    ]);
  const { terminal } = context;
  const device = options.device === undefined ? undefined : await findDevice(options.device);
  const loaded = loadModel(path, terminal);
  const { name, source } = loaded;
  if (options.entry !== undefined) checkEntry(options.entry, Object.keys(loaded.model.entries), source);
  const given = await readInputs(options.input);
  const entries = options.entry === undefined ? undefined : [options.entry];

  const { verdicts, failure, adapter } = await gpu.withWeights(
    { path: options.weights ?? loaded.weights, part: options.part },
    (weights) =>
      gpu.withDevice(async (open) => {
        const entryOptions = { batch: options.batch ?? 1 };
        const compiled = compile(loaded, {
          terminal,
          device: device ?? open.spec,
          entries,
          entryOptions,
          dtype: options.dtype,
          tuning: options.tuning,
        });
        const verified = await verifyCompiled(compiled, open, { path, options, given, weights }, terminal);
        return { ...verified, adapter: open.spec.name };
      }),
  );
  const took = performance.now() - start;
  if (failure) context.exitCode = EXIT.failed;
  if (options.json) {
    const error = failure && errorJson(failure);
    const checks = verdicts.map(report.verdictJson);
    const result = { model: name, source, adapter, agrees: !failure, checks, error, seconds: Math.round(took) / 1000 };
    return terminal.out(JSON.stringify(result, null, 2));
  }
  const [verdict, ...notes] = report.summaryLines(verdicts);
  const lines = [`adapter   ${adapter}`, `${verdict.padEnd(80)}  ${seconds(took)}`, ...notes];
  terminal.out([name, ...lines.map((line) => `  ${line}`)].join('\n'));
  if (failure) await reportError(failure, terminal, false);
}
