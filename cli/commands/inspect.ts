/** `ditc inspect`: what an artefact dispatches, kernel by kernel, and the WGSL of one. */
import { Command } from 'commander';
import { statSync } from 'node:fs';
import type { Artefact, Dispatch, EntrySpec } from '../../compiler/emit/artefact.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { wholeNumber } from '../options.ts';
import { bytes, macs, plural, table } from '../text.ts';

interface Options {
  entry?: string;
  kernel?: string;
  batch?: number;
  device?: string;
  all?: boolean;
  json?: boolean;
}

export const inspectCommand = (context: Context): Command =>
  new Command('inspect')
    .description('Shows the kernels of a model: how often each runs, on what, what it costs and where it comes from.')
    .argument('<model>', 'a folder that `ditc build` wrote, or a model file, MODEL.ts')
    .option('--entry <name>', 'show this entry only')
    .option('--kernel <name>', 'print the WGSL of this kernel')
    .option('--all', 'a row for each dispatch, in order, instead of one for each kernel')
    .option('--batch <n>', 'images per run, for a model file (default: 1)', wholeNumber('--batch', 1, 65535))
    .option('--device <spec>', 'device to compile a model file for (default: portable)')
    .option('--json', 'print the rows (or the kernel) as JSON')
    .addHelpText(
      'after',
      examples('ditc inspect codegen-out/dit-xl --entry forward', 'ditc inspect models/digits.ts --kernel tokens'),
    )
    .action((path: string, options: Options) => inspect(path, options, context));

async function inspect(path: string, options: Options, { terminal }: Context): Promise<void> {
  const artefact = await open(path, options);
  const { manifest } = artefact;
  const { checkEntry } = await import('../model.ts');
  if (options.entry !== undefined) checkEntry(options.entry, Object.keys(manifest.entries), path);
  const names = options.entry === undefined ? Object.keys(manifest.entries) : [options.entry];
  if (options.kernel !== undefined) return terminal.out(kernelText(artefact, options.kernel, options.json ?? false));
  const entries = names.map((name) => {
    const spec = manifest.entries[name];
    return { name, spec, rows: options.all ? spec.dispatches.map((d) => rowOf([d], spec)) : groupedRows(spec) };
  });
  if (options.json) {
    const shown = entries.map(({ name, spec, rows }) => [
      name,
      { macs: spec.macs, memory: spec.memory, dispatches: rows },
    ]);
    const { model, source, device } = manifest;
    terminal.out(JSON.stringify({ model, source, device, entries: Object.fromEntries(shown) }, null, 2));
    return;
  }
  const texts = entries.map(({ name, spec, rows }) => entryText(`${manifest.model} ${name}`, spec, rows));
  terminal.out(texts.join('\n\n'));
}

async function open(path: string, { batch, device, entry }: Options): Promise<Artefact> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    const option = batch !== undefined ? '--batch' : device !== undefined ? '--device' : undefined;
    if (!option) return (await import('../../runtime/node/artefact.ts')).readArtefact(path);
    const fix = `leave it out, or build the model again with ${option}`;
    throw new UsageError({ what: `${option} is for model files`, why: `${path} is built already`, fix });
  }
  const [{ findDevice }, { compile, loadModel }] = await Promise.all([import('../device.ts'), import('../model.ts')]);
  const spec = findDevice(device ?? 'portable');
  const entries = entry === undefined ? undefined : [entry];
  return compile(loadModel(path), { device: spec, entries, entryOptions: { batch: batch ?? 1 } }).artefact;
}

/** A kernel's dispatches, or one of them, with their sums. */
interface Row {
  readonly kernel: string;
  readonly uses: number;
  readonly workgroups: readonly number[];
  readonly macs: number;
  /** Of the entry's MACs. */
  readonly share: number;
  readonly bytes: number;
  readonly values: readonly string[];
  readonly ops: readonly string[];
  readonly source: readonly string[];
}

function rowOf(dispatches: readonly Dispatch[], entry: EntrySpec): Row {
  const [{ kernel, workgroups, ops, source }] = dispatches;
  const sum = (value: (d: Dispatch) => number) => dispatches.reduce((total, d) => total + value(d), 0);
  const all = entry.dispatches.reduce((total, d) => total + d.macs, 0);
  const macs = sum((d) => d.macs);
  return {
    kernel,
    uses: dispatches.length,
    workgroups,
    macs,
    share: all ? macs / all : 0,
    bytes: sum((d) => d.bytesRead + d.bytesWritten),
    values: [...new Set(dispatches.map((d) => d.value))],
    ops,
    source,
  };
}

/** One row for each kernel, in the order of first use. */
function groupedRows(entry: EntrySpec): Row[] {
  const groups = new Map<string, Dispatch[]>();
  for (const dispatch of entry.dispatches) {
    const group = groups.get(dispatch.kernel);
    if (group) group.push(dispatch);
    else groups.set(dispatch.kernel, [dispatch]);
  }
  return [...groups.values()].map((dispatches) => rowOf(dispatches, entry));
}

/** Ops beyond this width are cut: the kernel's own header has them all. */
const OPS_WIDTH = 44;

function entryText(title: string, spec: EntrySpec, rows: readonly Row[]): string {
  const { dispatches, memory } = spec;
  const kernels = new Set(dispatches.map((d) => d.kernel)).size;
  const summary = [
    `${plural(dispatches.length, 'dispatch', 'dispatches')} of ${plural(kernels, 'kernel')}`,
    macs(spec.macs),
    `${bytes(memory.activationPeakBytes)} activations`,
  ];
  const cells = rows.map((row) => [
    row.kernel,
    String(row.uses),
    row.workgroups.join('×'),
    row.macs ? macs(row.macs) : '',
    row.macs ? `${(row.share * 100).toFixed(1)} %` : '',
    bytes(row.bytes),
    cut(row.ops.join(' → '), OPS_WIDTH),
    row.source[row.source.length - 1] ?? '',
  ]);
  const head = ['kernel', 'uses', 'workgroups', 'MACs', 'share', 'bytes', 'ops', 'source'];
  const lines = table([head, ...cells], new Set([1, 2, 3, 4, 5]));
  return [`${title}  ${summary.join(' · ')}`, ...lines.map((line) => `  ${line}`)].join('\n');
}

const cut = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);

function kernelText({ manifest, wgsl }: Artefact, name: string, json: boolean): string {
  const text = wgsl.get(name);
  if (text === undefined) {
    const known = [...wgsl.keys()];
    throw new UsageError({ what: `--kernel: there is no kernel ${name}`, fix: `use one of ${known.join(', ')}` });
  }
  return json ? JSON.stringify({ name, ...manifest.kernels[name], wgsl: text }, null, 2) : text.trimEnd();
}
