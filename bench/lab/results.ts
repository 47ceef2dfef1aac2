/** `lab results`: RESULTS.md, what kernels must reach, and the figures of every kernel of the models that matter most. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dawnVersion } from '../../runtime/node/dawn.ts';
import { DEVICES, isOnChip, onChip, openChip } from './chip.ts';
import { measured, type Row } from './isa.ts';
import { kernelsOf } from './kernels.ts';
import { mustTable, type Section } from './must.ts';
import { markdownOf } from './table.ts';

const GPU = 'navi31';
const ROOT = new URL('../../', import.meta.url);

/** A training step is of 8 examples, all else of one. */
const DIT = { forward: 1, trainStep: 8 };
const CASES: readonly Case[] = [
  { path: 'models/dit-s.ts', entries: DIT },
  { path: 'models/dit-xl.ts', entries: DIT },
  { path: 'models/vae-f8.ts', entries: { encode: 1, decode: 1 } },
  { path: 'bench/lab/head-128.ts', entries: DIT, dtypes: ['f16'] },
];

interface Case {
  readonly path: string;
  /** With the batch of each. */
  readonly entries: Readonly<Record<string, number>>;
  readonly dtypes?: readonly Section['dtype'][];
}

/** Of the page each, made by a process each: the driver compiles on one core. */
const SECTIONS = CASES.flatMap(({ path, entries, dtypes = ['f32', 'f16'] }) =>
  Object.entries(entries).flatMap(([entry, batch]) => dtypes.map((dtype) => ({ path, entry, batch, dtype }))),
);

/** Writes the page, `jobs` sections at a time; or prints one section, where its number is given. */
export async function writeResults(options: { section?: number; json?: boolean; jobs: number }): Promise<void> {
  const { section, json, jobs } = options;
  if (section !== undefined) return printSection(section, json);
  const waiting = [...SECTIONS.keys()];
  const made: Section[] = [];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) made[next] = await sectionOf(next);
  };
  await Promise.all(Array.from({ length: jobs }, work));
  writeFileSync(fileURLToPath(new URL('bench/lab/RESULTS.md', ROOT)), page(made));
}

async function sectionOf(number: number): Promise<Section> {
  const again = [...process.execArgv, process.argv[1], 'results', '--section', String(number), '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, again, { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as Section;
}

async function printSection(number: number, json = false): Promise<void> {
  if (!isOnChip()) onChip(GPU);
  const section = await compiled(number);
  console.log(json ? JSON.stringify(section) : textOf(section));
  process.exit(0);
}

async function compiled(number: number): Promise<Section> {
  const { path, entry, batch, dtype } = SECTIONS[number];
  const chip = await openChip();
  const building = { entry: [entry], batch, dtype, device: DEVICES[GPU] };
  const rows: Row[] = [];
  for (const kernel of await kernelsOf(fileURLToPath(new URL(path, ROOT)), building))
    rows.push(...(await measured(chip, kernel, { loops: true })));
  return { model: basename(path, '.ts'), entry, batch, dtype, rows };
}

function textOf({ model, entry, batch, dtype, rows: all }: Section): string {
  const rows = all.filter(({ name }, i) => all[i - 1]?.name !== name);
  return [`## ${model} ${entry}, ${dtype}, batch ${batch}`, '', summary(rows), '', ...markdownOf(rows)].join('\n');
}

/** Multiply-adds for each instruction over all that the entry multiplies, and what spills. */
function summary(rows: readonly Row[]): string {
  const counted = rows.filter(({ macs, macPerInstruction }) => macs && macPerInstruction);
  const sum = (of: (row: Row) => number) => counted.reduce((all, row) => all + of(row), 0);
  const whole = sum(({ macs }) => macs!) / sum(({ macs, macPerInstruction }) => macs! / macPerInstruction!);
  const spilling = rows.filter(({ spills }) => spills).map(({ name }) => name);
  const broken = rows.filter(({ error }) => error).map(({ name }) => name);
  return [
    `${whole.toFixed(2)} mac/inst over all that it multiplies.`,
    spilling.length ? `Registers spill in ${spilling.join(', ')}.` : 'No register spills.',
    ...(broken.length ? [`Not compiled: ${broken.join(', ')}.`] : []),
  ].join(' ');
}

const page = (sections: readonly Section[]): string =>
  `# What a compiler for real GPUs makes of our kernels

Written by \`npm run lab -- results\`; the README beside it says what the columns mean. For ${DEVICES[GPU]} (${GPU}), by Dawn ${dawnVersion()}
and Mesa’s RADV.

## What kernels must reach

The worst kernel of each kind. Products that decide nothing, each less than 1 % of what an entry multiplies, are the last two rows.

${mustTable(sections).join('\n')}

Below, kernels that multiply most come first.

${sections.map(textOf).join('\n\n')}
`;
