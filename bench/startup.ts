/**
 * How long commands take to start: from the process's start to its first dispatch and to its end, with nothing kept of earlier runs
 * (cold) and with what the run before it kept. Pipelines that the driver keeps are there in both.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findAdapter } from '../runtime/node/adapter.ts';
import { table } from '../cli/text.ts';
import { spread } from './lib/measure.ts';
import { footer, machine, options, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/startup.ts [options]   start of build and sample, cold and from the cache

  --build MODEL     what is built (models/dit-xl.ts)
  --sample MODEL    what is sampled, with the weights beside it (models/digits.ts)`;
const { rounds, json, text } = options(HELP, {
  build: { type: 'string', default: 'models/dit-xl.ts' },
  sample: { type: 'string', default: 'models/digits.ts' },
});

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HOOK = new URL('lib/startup-hook.mjs', import.meta.url).href;
const scratch = mkdtempSync(join(tmpdir(), 'ditc-startup-'));

interface Contender {
  readonly name: string;
  readonly args: readonly string[];
  readonly cold: boolean;
}

/** When a process got where, in ms since its start; phases of a command as they begin, with what they took. */
interface Run {
  readonly dispatch?: number;
  readonly end: number;
  readonly cpu: number;
  readonly [name: string]: number | { readonly at: number; readonly ms: number } | undefined;
}

const build = ['build', text('build')!, '--out', join(scratch, 'built')];
const model = text('sample')!;
const weights = model.replace(/\.ts$/, '.safetensors');
const sample = [
  'sample',
  model,
  '--weights',
  weights,
  '--classes',
  '0-3',
  '--steps',
  '2',
  '--out',
  join(scratch, 'p.png'),
];
const CONTENDERS: readonly Contender[] = [
  { name: '--version', args: ['--version'], cold: false },
  { name: `build ${text('build')}, cold`, args: build, cold: true },
  { name: `build ${text('build')}, again`, args: build, cold: false },
  { name: `sample ${model}, cold`, args: sample, cold: true },
  { name: `sample ${model}, again`, args: sample, cold: false },
];

/** Runs a command as a process of its own. */
async function run({ args, cold }: Contender): Promise<Run> {
  const [cache, times] = [join(scratch, 'cache'), join(scratch, 'times.json')];
  if (cold) rmSync(cache, { recursive: true, force: true });
  const env = { ...process.env, DITC_CACHE: cache, BENCH_STARTUP: times };
  const command = ['--import', HOOK, join(ROOT, 'cli/ditc.mjs'), ...args];
  await promisify(execFile)(process.execPath, command, { cwd: ROOT, env });
  return JSON.parse(readFileSync(times, 'utf8')) as Run;
}

/** The points of a run in order: `type check 90+420` begins at 90 ms and takes 420. */
function phases({ cpu: _cpu, dispatch: _dispatch, end: _end, ...points }: Run): string {
  const at = (point: Run[string]) => (typeof point === 'object' ? point.at : point!);
  return Object.entries(points)
    .sort(([, a], [, b]) => at(a) - at(b))
    .map(
      ([name, point]) => `${name} ${at(point).toFixed(0)}${typeof point === 'object' ? `+${point.ms.toFixed(0)}` : ''}`,
    )
    .join(' · ');
}

const seconds = (ms: number) => (ms / 1000).toFixed(2);

try {
  const before = loadavg()[0];
  // Bundles the sources, if they have changed, and has the driver compile its pipelines.
  for (const contender of CONTENDERS) await run(contender);
  const runs = new Map(CONTENDERS.map((contender) => [contender, [] as Run[]]));
  for (let round = 0; round < rounds; round++) for (const [contender, list] of runs) list.push(await run(contender));
  const rows = [...runs].map(([{ name }, list]) => {
    const [end, cpu] = [spread(list.map((each) => each.end)), spread(list.map((each) => each.cpu))];
    const dispatches = list.flatMap((each) => each.dispatch ?? []);
    const median = list.reduce((a, b) => (Math.abs(b.end - end.median) < Math.abs(a.end - end.median) ? b : a));
    return { name, end, cpu, dispatch: dispatches.length ? spread(dispatches) : undefined, median };
  });
  const head = ['', 's to the end: min', 'median', 'max', 'to the first dispatch', 'of processors'];
  const cells = rows.map(({ name, end, cpu, dispatch }) => [
    name,
    ...[end.min, end.median, end.max].map(seconds),
    dispatch ? seconds(dispatch.median) : '',
    seconds(cpu.median),
  ]);
  console.log(table([head, ...cells], new Set([1, 2, 3, 4, 5])).join('\n'));
  console.log('\nms since the process started, +ms taken, in the run of median length:');
  for (const { name, median } of rows) console.log(`  ${name}: ${phases(median) || '–'}`);
  const found = await findAdapter();
  console.log(footer({ load: [before, loadavg()[0]] }, found.spec));
  writeJson(json, { machine: machine(found.spec), load: [before, loadavg()[0]], rows });
  found.close();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
