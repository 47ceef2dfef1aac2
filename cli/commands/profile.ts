/** `ditc profile`: where the time of a model's entries goes on this GPU, kernel by kernel. */
import { Command } from 'commander';
import type { Precision } from '../../compiler/pipeline.ts';
import { examples, type Context } from '../context.ts';
import { collect, precision, wholeNumber } from '../options.ts';
import { TUNING } from '../../library/tuning/option.ts';

interface Options {
  entry?: string[];
  batch?: number;
  dtype?: Precision;
  tuning?: string;
  repeat: number;
  all?: boolean;
  trace?: string;
  json?: boolean;
}

const NOTES = `
The table has a row for each kernel of an entry, the slowest first: its dispatches, their GPU time together (medians of
the runs), its share of all kernels, the rates that makes of its multiply-adds and of the bytes that it must move, and
how near that is to what the device could do (roofline: the time that its rates allow, of the time taken).
Runs that nothing measures take turns with those that are: their time stands beside the kernels' sum.
docs/profile.md says how to read it.`;

export const profileCommand = (context: Context): Command =>
  new Command('profile')
    .description(
      'Measures the kernels of a model on this GPU: time, share, GFLOP/s, GB/s, and how near to the roofline.',
    )
    .argument('<model>', 'the model file, MODEL.ts, or a folder that `ditc build` wrote')
    .option('--entry <name>', 'measure this entry only; may be repeated (default: all that a build has)', collect)
    .option('--batch <n>', 'images per run, for a model file (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--dtype <type>', 'f32 or f16, for a model file: as of ditc build (default: f32)', precision)
    .option(...TUNING)
    .option('--repeat <n>', 'runs to measure, and as many that are not', wholeNumber('--repeat', 1, 10_000), 10)
    .option('--all', 'a row for each dispatch, not for each kernel')
    .option('--trace <file>', 'also write the last run of each entry as a trace that ui.perfetto.dev opens (.json)')
    .option('--json', 'print the profile as JSON')
    .addHelpText(
      'after',
      NOTES +
        examples(
          'ditc profile models/digits.ts --entry forward --batch 8',
          'ditc profile codegen-out/dit-s --repeat 30 --trace dit-s.trace.json',
        ),
    )
    .action((path: string, options: Options) => profile(path, options, context));

async function profile(path: string, options: Options, { terminal }: Context): Promise<void> {
  const [
    { openFor },
    { checkOutputFile },
    { measureEntry },
    { profileOf },
    text,
    { ratesOf },
    { Watch },
    gpu,
    progress,
  ] = await Promise.all([
    import('../profile/open.ts'),
    import('../out-path.ts'),
    import('../profile/measure.ts'),
    import('../profile/kernels.ts'),
    import('../profile/text.ts'),
    import('../../compiler/report/roofline.ts'),
    import('../profile/watch.ts'),
    import('../gpu.ts'),
    import('../progress.ts'),
  ]);
  if (options.trace !== undefined) checkOutputFile(options.trace);
  const openedFor = await openFor(path, options, terminal);
  await gpu.withDevice(async (open) => {
    const { artefact, measured, entries } = openedFor(open.spec);
    const { manifest } = artefact;
    const watch = new Watch();
    const program = await gpu.startProgram(open, { artefact, entries, seed: 0, watch }, terminal);
    const bar = progress.startProgress(terminal, 'measuring', measured.length * options.repeat, 'runs');
    const times = [];
    try {
      for (const [i, entry] of measured.entries()) {
        bar.note(entry);
        times.push(await measureEntry(program, entry, options.repeat, (done) => bar.update(i * options.repeat + done)));
      }
    } finally {
      bar.stop();
      program.close();
    }
    const rates = ratesOf(open.spec);
    const profiles = times.map((each) => profileOf(each, manifest, rates, options.all ?? false));
    if (options.trace !== undefined) {
      const { traceOf } = await import('../profile/trace.ts');
      const { writeAtomically } = await import('../../runtime/node/file.ts');
      const trace = JSON.stringify(traceOf(manifest, watch.seen(), times));
      await writeAtomically(options.trace, (write) => write(Buffer.from(trace)));
    }
    const { model, source, device } = manifest;
    if (options.json) {
      const shown = Object.fromEntries(profiles.map(({ entry, ...rest }) => [entry, rest]));
      const { name: adapter, description } = open.spec;
      terminal.out(JSON.stringify({ model, source, device, adapter, description, rates, entries: shown }, null, 2));
      return;
    }
    const tables = profiles.map((each) => text.profileText(`${model} ${each.entry}`, each, !rates.nominal, terminal));
    terminal.out([...tables, text.footText(open.spec.name, rates, profiles.length)].join('\n\n'));
    if (options.trace !== undefined) terminal.err(`wrote ${options.trace}: open it in ui.perfetto.dev`);
  });
}
