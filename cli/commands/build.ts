/** `ditc build`: a model file becomes an artefact. */
import { Command } from 'commander';
import { join, relative } from 'node:path';
import type { EntrySpec, Manifest } from '../../compiler/emit/artefact.ts';
import type { Graph } from '../../compiler/ir/index.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import type { Built } from '../build-files.ts';
import type { LoadedModel } from '../model.ts';
import { buildForWeb, checkForNode, checkForWeb } from '../build-web.ts';
import { examples, type Context } from '../context.ts';
import { knownDevices } from '../../library/device.ts';
import { UsageError } from '../errors.ts';
import { CHECKPOINT, collect, memorySize, oneOf, precision, realNumber, wholeNumber } from '../options.ts';
import { bytes, grouped, macs, plural, seconds, table } from '../text.ts';
import { TUNING } from '../../library/tuning/option.ts';

interface Options {
  out?: string;
  entry?: string[];
  batch: number;
  dtype: Precision;
  device: string;
  memory?: number;
  tuning?: string;
  /** Empty: the last pass. */
  printIr?: string;
  report: boolean;
  json?: boolean;
  target?: 'node' | 'web';
  weights?: string;
  steps?: number;
  data?: string;
  trainBatch?: number;
  lr?: number;
  ema?: number;
}

export const buildCommand = (context: Context): Command =>
  new Command('build')
    .description('Compiles a model file to WGSL kernels and a manifest that says how to run them.')
    .argument('<model>', 'the model file, MODEL.ts or NET.onnx')
    .option(
      '-o, --out <dir>',
      'folder to write; what an earlier build wrote there is replaced (default: codegen-out/NAME)',
    )
    .option('--entry <name>', 'compile this entry only; may be repeated', collect)
    .option('--batch <n>', 'images per run', wholeNumber('--batch', 1, 65535), 1)
    .option('--dtype <type>', 'f32 or f16, of weights and of what products read; sums are f32', precision, 'f32')
    .option(
      '--device <spec>',
      `device to compile for: here (this machine’s adapter), ${knownDevices().join(', ')}, or a JSON file of ditc doctor; portable runs on any WebGPU device`,
      'portable',
    )
    .option(
      '--memory <size>',
      'use no more of the device’s memory, such as 4GB: compute again what it cannot keep',
      memorySize,
    )
    .option(
      '--print-ir [pass]',
      'print the graphs to stdout as ditc opt reads them: --print-ir=PASS after a pass, of fusion too (ditc opt --list), =trace as the model file computes it (default: after all)',
    )
    .option(...TUNING)
    .option('--no-report', 'leave out report.html')
    .option(
      '--target <place>',
      'node, or web: a folder that a web server can serve as it is, with kernels for GPUs of several kinds, the weights and a page',
      oneOf('--target', ['node', 'web']),
      'node',
    )
    .option('--weights <file>', `weights of a web build: ${CHECKPOINT}; without, a page draws them from a seed`)
    .option(
      '--steps <n>',
      'of a web build, the most steps that a visitor can choose (default: 50, or the model’s own)',
      wholeNumber('--steps', 1, 1000),
    )
    .option(
      '--data <path>',
      'of a web build: data to train on in the page, as of ditc train; the page gets a tab that trains',
    )
    .option(
      '--train-batch <n>',
      'examples per training step there (default: 32)',
      wholeNumber('--train-batch', 1, 65535),
    )
    .option('--lr <x>', 'learning rate there (default: the model’s own, or 1e-4)', realNumber('--lr', 0))
    .option(
      '--ema <x>',
      'decay of the moving average of the weights there (default: 0.9999)',
      realNumber('--ema', 0, 1),
    )
    .option('--json', 'print what was built as JSON')
    .addHelpText(
      'after',
      examples(
        'ditc build models/dit-xl.ts',
        'ditc build my-model.ts --entry forward --batch 8 --out out/my-model',
        'ditc build models/digits.ts --target web --weights models/digits.safetensors --batch 10 --out site',
      ),
    )
    .action((path: string, options: Options) => buildModel(path, options, context));

async function buildModel(path: string, options: Options, context: Context): Promise<void> {
  if (options.target === 'web') {
    checkForWeb({ ...options });
    return buildForWeb(path, options, context);
  }
  checkForNode(options);
  const start = performance.now();
  const { terminal } = context;
  const [{ findDevice }, { checkArtefactFolder, writeArtefactFolder }, { loadModel }, { build }] = await Promise.all([
    import('../../library/device.ts'),
    import('../../library/artefact-folder.ts'),
    import('../model.ts'),
    import('../build-files.ts'),
  ]);
  const device = await findDevice(options.device);
  const printed = await irPrinter(options, (text) => terminal.out(text));
  if (options.out !== undefined) checkArtefactFolder(options.out);
  const loaded = loadModel(path, terminal);
  const out = options.out ?? join('codegen-out', loaded.name);
  checkArtefactFolder(out);
  const entries = options.entry && [...new Set(options.entry)];
  const buildFor = (batch: number, memory?: number) =>
    build(loaded, options, {
      terminal,
      device,
      entries,
      entryOptions: { batch },
      dtype: options.dtype,
      memory,
      tuning: options.tuning,
      ...(batch === options.batch && printed),
      morePasses: context.passes,
    });
  const { recomputed } = await import('../../library/memory.ts');
  const built = await buildInMemory(options, buildFor);
  writeArtefactFolder(out, built.files);
  const took = performance.now() - start;
  if (options.json) terminal.out(JSON.stringify(summary(built, out, took), null, 2));
  else
    (options.printIr === undefined ? terminal.out : terminal.err)(
      report(loaded, built, options, out, took, recomputed(built.artefact)),
    );
}

/** Builds the batch for the memory it may use; throws when that is not enough. */
async function buildInMemory(
  { batch, memory }: Options,
  buildFor: (batch: number, memory?: number) => Built,
): Promise<Built> {
  if (memory === undefined) return buildFor(batch);
  const { checkMemory, compileWithin, needOf } = await import('../../library/memory.ts');
  const within = (n: number) => compileWithin(memory, (less) => buildFor(n, less));
  const built = within(batch);
  checkMemory(memory, batch, (n) => needOf((n === batch ? built : within(n)).artefact));
  return built;
}

/** Prints graphs after the pass that --print-ir names. */
async function irPrinter({ printIr, json, dtype }: Options, print: (text: string) => void) {
  if (printIr === undefined) return undefined;
  if (json) throw new UsageError({ what: '--print-ir and --json both print to stdout', fix: 'use one of them' });
  const [{ passesFor }, { fusionPasses }, { printGraph }, { printFused }, { checkPass }] = await Promise.all([
    import('../../compiler/pipeline.ts'),
    import('../../compiler/fusion/passes.ts'),
    import('../../compiler/ir/index.ts'),
    import('../../compiler/fusion/print.ts'),
    import('../passes.ts'),
  ]);
  const names = ['trace', ...passesFor(dtype).map(({ name }) => name)];
  const wanted = printIr || names[names.length - 1];
  checkPass('--print-ir', wanted, [...names, ...fusionPasses.map(({ name }) => name)]);
  let separator = '';
  const printed = <T>(textOf: (value: T) => string) => {
    return (pass: string, value: T): void => {
      if (pass !== wanted) return;
      print(separator + textOf(value).trimEnd());
      separator = '\n';
    };
  };
  return { onPass: printed((graph: Graph) => printGraph(graph)), onFusion: printed(printFused) };
}

function summary({ artefact, ops }: Built, out: string, took: number) {
  const { model, source, device, entries, kernels } = artefact.manifest;
  return {
    model,
    source,
    device,
    out,
    ops,
    kernels: Object.keys(kernels).length,
    entries: Object.fromEntries(
      Object.entries(entries).map(([name, { macs, paramCount, dispatches, memory }]) => [
        name,
        { macs, paramCount, dispatches: dispatches.length, memory },
      ]),
    ),
    seconds: Math.round(took) / 1000,
  };
}

/** What was built, on one screen. */
function report(
  loaded: LoadedModel,
  { artefact, ops }: Built,
  { batch, report: hasReport }: Options,
  out: string,
  took: number,
  twice?: string,
): string {
  const { manifest } = artefact;
  const entries = Object.entries(manifest.entries);
  const specs = entries.map(([, spec]) => spec);
  const most = (value: (spec: EntrySpec) => number) => Math.max(...specs.map(value));
  const dispatches = specs.reduce((sum, { dispatches }) => sum + dispatches.length, 0);
  const rows = [
    ['device', builtFor(manifest.device)],
    ['graph', `${plural(ops.before, 'op')} → ${grouped(ops.after)}`],
    [
      'kernels',
      `${plural(dispatches, 'dispatch', 'dispatches')} of ${plural(Object.keys(manifest.kernels).length, 'kernel')}`,
    ],
    [
      'memory',
      [`${bytes(most((s) => s.memory.weightBytes))} weights`, ...stateOf(specs), activations(specs)].join(' · '),
    ],
    ...(twice ? [['', twice]] : []),
  ];
  if (entries.length > 1)
    rows.push(
      ['entries', entryTable(manifest)[0]],
      ...entryTable(manifest)
        .slice(1)
        .map((row) => ['', row]),
    );
  const shown = relative(process.cwd(), out).startsWith('..') ? out : relative(process.cwd(), out);
  rows.push(['wrote', `${shown || '.'}/${hasReport ? ' — open report.html to look inside' : ''}`]);
  const heaviest = specs.reduce((a, b) => (b.macs > a.macs ? b : a));
  const cost =
    entries.length === 1 && heaviest.macs ? ` · ${macs(heaviest.macs)}${batch > 1 ? ` at batch ${batch}` : ''}` : '';
  const lines = table(rows).map((line) => `  ${line}`);
  const last = lines.length - 1;
  lines[last] = `${lines[last].padEnd(70)}  ${seconds(took)}`;
  const parameters = manifest.params.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);
  return [`${loaded.name}  ${grouped(parameters)} parameters${cost}`, ...lines].join('\n');
}

/** Whom the kernels suit. */
const builtFor = (device: string): string =>
  device === 'portable' ? 'portable: any WebGPU device (--device here: this machine’s adapter, and faster)' : device;

/** What lives between runs, hoisted tables included. */
function stateOf(specs: readonly EntrySpec[]): string[] {
  const most = Math.max(...specs.map(({ memory }) => memory.stateBytes));
  return most ? [`${bytes(most)} state`] : [];
}

function activations(specs: readonly EntrySpec[]): string {
  const heaviest = specs.reduce((a, b) => (b.memory.activationPeakBytes > a.memory.activationPeakBytes ? b : a));
  const { activationPeakBytes, activationLowerBoundBytes } = heaviest.memory;
  return `${bytes(activationPeakBytes)} activations (lower bound ${bytes(activationLowerBoundBytes)})`;
}

function entryTable({ entries }: Manifest): string[] {
  const rows = Object.entries(entries).map(([name, spec]) => [
    name,
    plural(spec.dispatches.length, 'dispatch', 'dispatches'),
    spec.macs ? macs(spec.macs) : '',
    bytes(spec.memory.activationPeakBytes),
  ]);
  return table(rows, new Set([1, 2, 3]));
}
