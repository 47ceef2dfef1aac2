/**
 * Whether benchmarks became slower since a commit: its scripts and those of another commit take turns, a process each, in checkouts of
 * their own beside the same packages and without peers. What is compared is the median over processes of each script's own medians.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { spread } from '../cli/spread.ts';
import { table } from '../cli/text.ts';
import { checkout } from './lib/checkout.ts';
import { options, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/against.ts COMMIT [SCRIPT…] [options]   benchmarks of two commits, taking turns

  SCRIPT…       gemm, conv, block, training, sample (all of them)
  --new COMMIT  what is compared with COMMIT (HEAD)
  --turns N     processes of each (3)
  --most R      a ratio beyond which it fails (1.03)`;
const { positionals, count, text, rounds, json } = options(
  HELP,
  {
    new: { type: 'string', default: 'HEAD' },
    turns: { type: 'string', default: '3' },
    most: { type: 'string', default: '1.03' },
  },
  1,
);
const [commit, ...named] = positionals;
const scripts = named.length ? named : ['gemm', 'conv', 'block', 'training', 'sample'];
const most = Number(text('most'));
if (!(most > 0)) throw new Error(`--most is ${text('most')}: give a ratio, such as 1.03`);

interface Row {
  readonly label: string;
  readonly median: number;
}

/** Every sample of what a script wrote by `--json`, with the shape that it is of. */
function samplesIn(value: unknown, shape = ''): Row[] {
  if (Array.isArray(value)) return value.flatMap((each) => samplesIn(each, shape));
  if (typeof value !== 'object' || value === null) return [];
  const { name, median, ...rest } = value as Record<string, unknown>;
  if (typeof name === 'string' && typeof median === 'number')
    return [{ label: [shape, name].join(' ').trim(), median }];
  const inner = typeof rest.shape === 'string' ? rest.shape : shape;
  return Object.values(rest).flatMap((each) => samplesIn(each, inner));
}

function run(root: string, script: string): Row[] {
  const out = join(root, `${script}.json`);
  const args = ['tsx', `bench/${script}.ts`, '--rounds', String(rounds), '--json', out];
  const { status, stderr } = spawnSync('npx', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench/${script}.ts failed:\n${stderr}`);
  return samplesIn(JSON.parse(readFileSync(out, 'utf8')));
}

const roots = [commit, text('new')!].map((each) => checkout(each, [], ['node_modules']));
const results: Record<string, readonly [before: number, after: number]> = {};
const load = loadavg()[0];
for (const script of scripts) {
  const medians = new Map<string, [number[], number[]]>();
  for (let turn = 0; turn < count('turns'); turn++) {
    // Before, after; after, before; …: what drifts hits both.
    for (const which of turn % 2 ? [1, 0] : [0, 1]) {
      for (const { label, median } of run(roots[which], script)) {
        const both = medians.get(label) ?? [[], []];
        both[which].push(median);
        medians.set(label, both);
      }
    }
  }
  const compared = [...medians].filter(([, both]) => both.every(({ length }) => length > 0));
  if (!compared.length) throw new Error(`bench/${script}.ts has no row that both commits measure`);
  for (const [label, [before, after]] of compared)
    results[`${script} ${label}`] = [spread(before).median, spread(after).median];
  console.error(`${script} done`);
}

const ratio = ([before, after]: readonly [number, number]) => after / before;
const rows = Object.entries(results).map(([label, both]) => {
  return [label, ...both.map((ms) => ms.toPrecision(4)), `${ratio(both).toFixed(3)}×`];
});
console.log(table([['', `ms: ${commit}`, text('new')!, 'ratio'], ...rows], new Set([1, 2, 3])).join('\n'));
console.log(`load ${load.toFixed(2)} → ${loadavg()[0].toFixed(2)} of ${cpus().length} cores`);
writeJson(json, results);
const slower = Object.entries(results).filter(([, both]) => ratio(both) > most);
if (slower.length) {
  console.error(`slower than ${most}×: ${slower.map(([label]) => label).join(', ')}`);
  process.exitCode = 1;
}
