/** Where an entry's time goes: each kernel's milliseconds by the device's timestamps, its share, GFLOP/s and GB/s. */
import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { startProgram, withDevice } from '../cli/gpu.ts';
import { compile, loadModel } from '../cli/model.ts';
import { processTerminal } from '../cli/terminal.ts';
import { table } from '../cli/text.ts';
import type { Artefact } from '../compiler/emit/artefact.ts';
import { gigabytes, gflops, footer, machine, options, writeJson } from './lib/report.ts';
import { spread } from './lib/measure.ts';

const HELP = `npx tsx bench/forward.ts MODEL.ts [options]   ms, share, GFLOP/s and GB/s of each kernel

  --entry NAME  (forward)
  --batch N     (1)`;
const { rounds, json, positionals, count, text } = options(
  HELP,
  { entry: { type: 'string', default: 'forward' }, batch: { type: 'string', default: '1' } },
  1,
);
const entry = text('entry')!;

interface KernelTime {
  readonly kernel: string;
  readonly plan: string;
  readonly dispatches: number;
  /** All its dispatches together: the median over the rounds of each, summed. */
  readonly ms: number;
  readonly macs: number;
  readonly bytes: number;
}

/** Median nanoseconds of each dispatch, gathered by kernel, slowest first. */
function byKernel({ manifest }: Artefact, nanoseconds: readonly number[]): KernelTime[] {
  const times = new Map<string, KernelTime>();
  manifest.entries[entry].dispatches.forEach(({ kernel, macs, bytesRead, bytesWritten }, i) => {
    const { family, ...plan } = manifest.kernels[kernel].plan;
    const detail = Object.entries(plan).map(([key, value]) => `${key} ${value}`);
    const before = times.get(kernel) ?? { dispatches: 0, ms: 0, macs: 0, bytes: 0 };
    times.set(kernel, {
      kernel,
      plan: `${family} (${detail.join(', ')})`,
      dispatches: before.dispatches + 1,
      ms: before.ms + nanoseconds[i] / 1e6,
      macs: before.macs + macs,
      bytes: before.bytes + bytesRead + bytesWritten,
    });
  });
  return [...times.values()].sort((a, b) => b.ms - a.ms);
}

await withDevice(async (open) => {
  const before = loadavg()[0];
  const setup = { device: open.spec, entries: [entry], entryOptions: { batch: count('batch') } };
  const { artefact } = compile(loadModel(resolve(positionals[0])), setup);
  const program = await startProgram(open, { artefact, entries: [entry], seed: 0 }, processTerminal());
  await program.run(entry);
  await program.sync();
  const runs: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const times = await program.runProfiled(entry);
    if (!times) throw new Error(`${open.spec.description} has no timestamps (feature timestamp-query)`);
    runs.push(times);
  }
  program.close();
  const { dispatches } = artefact.manifest.entries[entry];
  const kernels = byKernel(
    artefact,
    dispatches.map((_, i) => spread(runs.map((run) => run[i])).median),
  );
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const row = ({ kernel, plan, dispatches: uses, ms, macs, bytes }: KernelTime, share = ms / total) => [
    kernel,
    String(uses),
    ms.toFixed(2),
    `${(100 * share).toFixed(1)} %`,
    macs ? gflops(macs, ms) : '',
    gigabytes(bytes, ms),
    plan,
  ];
  const sum = (of: (time: KernelTime) => number) => kernels.reduce((all, time) => all + of(time), 0);
  const all: KernelTime = {
    kernel: 'all',
    plan: '',
    dispatches: dispatches.length,
    ms: total,
    macs: sum(({ macs }) => macs),
    bytes: sum(({ bytes }) => bytes),
  };
  const head = ['kernel', 'uses', 'ms', 'share', 'GFLOP/s', 'GB/s', 'plan'];
  const rows = [head, ...kernels.map((time) => row(time)), row(all)];
  console.log(table(rows, new Set([1, 2, 3, 4, 5])).join('\n'));
  const totals = spread(runs.map((run) => run.reduce((a, b) => a + b, 0) / 1e6));
  console.log(
    `a run: ${totals.min.toFixed(1)} / ${totals.median.toFixed(1)} / ${totals.max.toFixed(1)} ms (min / median / max)`,
  );
  const load = [before, loadavg()[0]] as const;
  console.log(footer({ load }, open.spec));
  writeJson(json, { machine: machine(open.spec), model: artefact.manifest.model, entry, load, totals, kernels });
});
