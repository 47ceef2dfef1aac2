/** `ditc inspect`: what an artefact dispatches, kernel by kernel; the WGSL of one; why two values are apart. */
import { Command } from 'commander';
import { statSync } from 'node:fs';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { CompilationRecord } from '../../compiler/report/record.ts';
import type { Rates } from '../../compiler/report/roofline.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { wholeNumber } from '../options.ts';

interface Options {
  entry?: string;
  kernel?: string;
  whyNot?: string[];
  batch?: number;
  device?: string;
  all?: boolean;
  json?: boolean;
}

const NOTES = `
Names for --why-not are those of the model file: variables and parameters. An op (layer_norm), a kernel
(fc1_gelu) or a name of graph.ir (%qkv.3) will do as well. x:130 is the x of line 130.
`;

export const inspectCommand = (context: Context): Command =>
  new Command('inspect')
    .description('Shows the kernels of a model: how often each runs, on what, what it costs and where it comes from.')
    .argument('<model>', 'a folder that `ditc build` wrote, or a model file, MODEL.ts')
    .option('--entry <name>', 'show this entry only')
    .option('--kernel <name>', 'print the WGSL of this kernel, after the lines of the model it came from')
    .option('--why-not <names...>', 'A B: say what kept two values out of one kernel')
    .option('--all', 'a row for each dispatch, in order, instead of one for each kernel')
    .option('--batch <n>', 'images per run, for a model file (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--device <spec>', 'device to compile a model file for, as of ditc build (default: portable)')
    .option('--json', 'print the rows (or the kernel, or the answer) as JSON')
    .addHelpText('after', NOTES)
    .addHelpText(
      'after',
      examples(
        'ditc inspect codegen-out/dit-xl --entry forward',
        'ditc inspect models/digits.ts --why-not qkv weights',
      ),
    )
    .action((path: string, options: Options) => inspect(path, options, context));

async function inspect(path: string, options: Options, { terminal }: Context): Promise<void> {
  if (options.whyNot && options.whyNot.length !== 2) {
    const what = `--why-not takes two names, not ${options.whyNot.length}`;
    throw new UsageError({ what, fix: 'write ditc inspect MODEL --why-not A B' });
  }
  const opened = await open(path, options);
  const { manifest } = opened.artefact;
  const { checkEntry } = await import('../model.ts');
  if (options.entry !== undefined) checkEntry(options.entry, Object.keys(manifest.entries), path);
  const names = options.entry === undefined ? Object.keys(manifest.entries) : [options.entry];
  if (options.whyNot) return whyNot(opened, names, options, terminal);
  if (options.kernel !== undefined) {
    const { kernelJson, kernelText } = await import('../kernel-text.ts');
    const shown = options.json
      ? kernelJson(opened.artefact, options.kernel)
      : kernelText(opened, options.kernel, terminal);
    return terminal.out(shown);
  }
  const { entryText, rowsOf } = await import('../kernel-table.ts');
  const entries = names.map((name) => {
    const spec = manifest.entries[name];
    return { name, spec, rows: rowsOf(spec, opened.rates, options.all ?? false) };
  });
  if (options.json) {
    const shown = entries.map(({ name, spec, rows }) => [
      name,
      { macs: spec.macs, parts: spec.parts, memory: spec.memory, dispatches: rows },
    ]);
    const { model, source, device } = manifest;
    terminal.out(JSON.stringify({ model, source, device, entries: Object.fromEntries(shown) }, null, 2));
    return;
  }
  const texts = entries.map(({ name, spec, rows }) => entryText(`${manifest.model} ${name}`, spec, rows, terminal));
  terminal.out(texts.join('\n\n'));
}

async function whyNot(
  { record }: Opened,
  names: readonly string[],
  { whyNot: asked, json }: Options,
  terminal: Context['terminal'],
): Promise<void> {
  const { answerText, ask } = await import('../why-not.ts');
  const all = await record();
  const records = Object.fromEntries(names.filter((name) => all[name]).map((name) => [name, all[name]]));
  const told = ask(records, asked as [string, string]);
  terminal.out(json ? JSON.stringify(told, null, 2) : answerText(told, records[told.entry], terminal.outColors));
}

/** An artefact with what else is known of it. */
export interface Opened {
  readonly artefact: Artefact;
  readonly rates: Rates;
  /** Read (or made) when asked for. */
  record(): Promise<CompilationRecord>;
  /** The text of a file of the model, when it can be read from here. */
  sourceText(file: string): string | undefined;
}

async function open(path: string, options: Options): Promise<Opened> {
  const [{ findDevice, knownDevices, specOf }, { ratesOf }] = await Promise.all([
    import('../../library/device.ts'),
    import('../../compiler/report/roofline.ts'),
  ]);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const { compilationRecord, compile, loadModel } = await import('../model.ts');
    const device = await findDevice(options.device ?? 'portable');
    const entries = options.entry === undefined ? undefined : [options.entry];
    const loaded = loadModel(path);
    const compiled = compile(loaded, { device, entries, entryOptions: { batch: options.batch ?? 1 } });
    const record = async () => compilationRecord(compiled);
    const sourceText = (file: string) => loaded.sourceText(file);
    return { artefact: compiled.artefact, rates: ratesOf(device), record, sourceText };
  }
  const option = options.batch !== undefined ? '--batch' : options.device !== undefined ? '--device' : undefined;
  if (option) {
    const fix = `leave it out, or build the model again with ${option}`;
    throw new UsageError({ what: `${option} is for model files`, why: `${path} is built already`, fix });
  }
  const [{ readArtefact }, { readRecord }, { sourcesFrom }] = await Promise.all([
    import('../../runtime/node/artefact.ts'),
    import('../why-not.ts'),
    import('../sources.ts'),
  ]);
  const artefact = await readArtefact(path);
  const { device, source } = artefact.manifest;
  const rates = ratesOf(knownDevices().includes(device) ? specOf(device) : undefined);
  return { artefact, rates, record: () => readRecord(path, artefact.manifest), sourceText: sourcesFrom(path, source) };
}
