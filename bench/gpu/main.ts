/**
 * The table of a GPU: first whether every kernel is right there, then ditc beside PyTorch. Every figure is the median of fresh processes, which
 * take turns. One file when bundled, for machines with nothing but Node and Dawn (README.md).
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withDevice } from '../../cli/gpu.ts';
import { spread } from '../../cli/spread.ts';
import { processTerminal } from '../../cli/terminal.ts';
import { dawnVersion } from '../../runtime/node/dawn.ts';
import { checkHalf } from '../../compiler/device.ts';
import { time, verify, type Timed, type Work } from './worker.ts';
import { nameOf, parseWorkload, WORKLOADS, type Size } from './workloads.ts';

const HELP = `npx tsx bench/gpu/main.ts [options]   ditc beside PyTorch on this GPU, after checking every kernel

  --size NAME        S, B, L or XL (XL)
  --work LIST        such as 'forward 8, train 8' (${WORKLOADS.map(nameOf).join(', ')})
  --processes N      fresh processes of each (3)
  --rounds N         timed rounds of a process (20)
  --python COMMAND   a Python with torch (python3)
  --no-torch         ditc alone
  --no-verify        do not check the kernels before
  --verify-only      check the kernels and end
  --out DIR          where results.json and table.txt go (bench/gpu/results)
  -h, --help`;

const { values: given } = parseArgs({
  options: {
    size: { type: 'string', default: 'XL' },
    work: { type: 'string' },
    processes: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '20' },
    python: { type: 'string', default: 'python3' },
    'no-torch': { type: 'boolean', default: false },
    'no-verify': { type: 'boolean', default: false },
    'verify-only': { type: 'boolean', default: false },
    out: { type: 'string', default: 'bench/gpu/results' },
    child: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** A contender's column. */
interface Column {
  readonly name: string;
  readonly command: readonly string[];
}

/** What it took, or why there is no figure. */
type Cell = { readonly processes: readonly Timed[] } | { readonly why: string };

const self = fileURLToPath(import.meta.url);
const torch = join(process.cwd(), 'bench/gpu/torch_twin.py');
const isMeasurable = (cell: Cell): cell is { processes: readonly Timed[] } => 'processes' in cell;

const columnsFor = (work: string): Column[] => [
  ...(['f32', 'f16'] as const).map((dtype) => ({
    name: `ditc ${dtype}`,
    command: [
      process.execPath,
      ...process.execArgv,
      self,
      '--rounds',
      given.rounds,
      '--child',
      JSON.stringify(workOf(work, dtype)),
    ],
  })),
  ...(given['no-torch'] ? [] : torchColumns(work)),
];

const torchColumns = (work: string): Column[] =>
  ['eager', 'compile'].flatMap((mode) =>
    ['f32', 'tf32', 'bf16'].map((precision) => ({
      name: `torch ${mode} ${precision}`,
      command: [
        given.python,
        torch,
        '--work',
        work,
        '--precision',
        precision,
        '--mode',
        mode,
        '--size',
        given.size,
        '--rounds',
        given.rounds,
      ],
    })),
  );

const workOf = (work: string, dtype: Work['dtype']): Work => ({
  ...parseWorkload(work),
  dtype,
  size: given.size as Size,
});

/** Runs a process that prints JSON on its last line. */
function measured([command, ...args]: readonly string[]): Promise<Timed> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
    child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => {
      const lines = err.trim().split('\n');
      const why = lines.findLast((line) => /error/i.test(line)) ?? `it ended with ${code}: ${lines.at(-1)}`;
      if (code) reject(new Error(why));
      else resolve(JSON.parse(out.trim().split('\n').at(-1)!) as Timed);
    });
  });
}

/** All contenders of a workload in turn; one that fails is left out from then on. */
async function row(work: string): Promise<Map<string, Cell>> {
  const columns = columnsFor(work);
  const cells = new Map<string, Cell>();
  for (let turn = 0; turn < Number(given.processes); turn++)
    for (const { name, command } of columns) {
      const before = cells.get(name) ?? { processes: [] };
      if (!isMeasurable(before)) continue;
      try {
        const timed = await measured(command);
        cells.set(name, { processes: [...before.processes, timed] });
        console.error(`${work}  ${name}  ${spread([...timed.ms]).median.toFixed(2)} ms`);
      } catch (error) {
        cells.set(name, { why: (error as Error).message });
        console.error(`${work}  ${name}  ${(error as Error).message}`);
      }
    }
  return cells;
}

/** The median over processes of their medians. */
const medianOf = ({ processes }: { processes: readonly Timed[] }): number =>
  spread(processes.map(({ ms }) => spread([...ms]).median)).median;

function markdown(rows: ReadonlyMap<string, Map<string, Cell>>, about: string): string {
  const names = [...new Set([...rows.values()].flatMap((cells) => [...cells.keys()]))];
  const cellText = (cell: Cell | undefined) => (cell && isMeasurable(cell) ? medianOf(cell).toPrecision(4) : '–');
  const lines = [...rows].map(
    ([work, cells]) => `| ${work} | ${names.map((name) => cellText(cells.get(name))).join(' | ')} |`,
  );
  const missing = [...rows].flatMap(([work, cells]) =>
    [...cells].flatMap(([name, cell]) => ('why' in cell ? [`- ${work}, ${name}: ${cell.why}`] : [])),
  );
  const head = `| ms | ${names.join(' | ')} |\n|---|${names.map(() => '---:|').join('')}`;
  return [`# DiT-${given.size}/2 on ${about}`, '', head, ...lines, '', ...missing, ''].join('\n');
}

/** Whether every kernel of every workload is right, in both precisions. */
async function verifyAll(works: readonly string[]): Promise<boolean> {
  const terminal = processTerminal();
  return withDevice(async (open) => {
    let isRight = true;
    for (const work of works)
      for (const dtype of ['f32', 'f16'] as const) {
        try {
          if (dtype === 'f16') checkHalf(open.spec);
        } catch (error) {
          console.error(`${work} ${dtype}: ${(error as Error).message}`);
          continue;
        }
        const wrong = await verify(open, workOf(work, dtype), terminal);
        console.error(`${work} ${dtype}: ${wrong.length ? `WRONG: ${wrong.join(', ')}` : 'every kernel agrees'}`);
        isRight &&= !wrong.length;
      }
    return isRight;
  });
}

async function main(): Promise<void> {
  if (given.help) return console.log(HELP);
  if (given.child) {
    const work = JSON.parse(given.child) as Work;
    return console.log(JSON.stringify(await withDevice((open) => time(open, work, Number(given.rounds)))));
  }
  const works = given.work
    ? given.work.split(',').map((work) => nameOf(parseWorkload(work.trim())))
    : WORKLOADS.map(nameOf);
  if (!given['no-verify'] && !(await verifyAll(works))) {
    console.error('no times of kernels that are wrong');
    process.exitCode = 1;
    return;
  }
  if (given['verify-only']) return;
  const rows = new Map<string, Map<string, Cell>>();
  mkdirSync(given.out, { recursive: true });
  for (const work of works) {
    rows.set(work, await row(work));
    const all = [...rows.values()].flatMap((cells) => [...cells.values()].filter(isMeasurable));
    const about = [...new Set(all.flatMap(({ processes }) => processes.map(({ device }) => device)))].join(', ');
    const text = markdown(rows, `${about}, Dawn ${dawnVersion()}`);
    // After each row: a machine that is lent may be taken back.
    writeFileSync(join(given.out, 'table.txt'), text);
    writeFileSync(
      join(given.out, 'results.json'),
      `${JSON.stringify(Object.fromEntries([...rows].map(([work, cells]) => [work, Object.fromEntries(cells)])), null, 2)}\n`,
    );
  }
  console.log(markdown(rows, 'this machine'));
}

await main();
