/** `lab results`: RESULTS.md, the figures of every kernel of the models that matter most. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dawnVersion } from '../../runtime/node/dawn.ts';
import { DEVICES, isOnChip, onChip, openChip, type Chip } from './chip.ts';
import { measured, type Row } from './isa.ts';
import { kernelsOf, type Building } from './kernels.ts';
import { markdownOf } from './table.ts';

const GPU = 'navi31';
const ROOT = new URL('../../', import.meta.url);

/** A training step is of 8 examples, all else of one. */
const DIT = { forward: 1, trainStep: 8 };
const CASES: readonly { readonly model: string; readonly entries: Readonly<Record<string, number>> }[] = [
  { model: 'dit-s', entries: DIT },
  { model: 'dit-xl', entries: DIT },
  { model: 'vae-f8', entries: { encode: 1, decode: 1 } },
];

/** A section of the page each, made by a process each: the driver compiles on one core. */
const SECTIONS = CASES.flatMap(({ model, entries }) =>
  Object.entries(entries).flatMap(([entry, batch]) =>
    (['f32', 'f16'] as const).map((dtype) => ({ model, entry, batch, dtype })),
  ),
);

/** Writes the page, `jobs` sections at a time; or prints one section, where its number is given. */
export async function writeResults({ section, jobs }: { section?: number; jobs: number }): Promise<void> {
  if (section !== undefined) return printSection(section);
  const waiting = [...SECTIONS.keys()];
  const made: string[] = [];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) made[next] = await sectionOf(next);
  };
  await Promise.all(Array.from({ length: jobs }, work));
  writeFileSync(fileURLToPath(new URL('bench/lab/RESULTS.md', ROOT)), page(made));
}

async function sectionOf(number: number): Promise<string> {
  const again = [...process.execArgv, process.argv[1], 'results', '--section', String(number)];
  const { stdout } = await promisify(execFile)(process.execPath, again, { maxBuffer: 2 ** 26 });
  return stdout.trimEnd();
}

async function printSection(number: number): Promise<void> {
  if (!isOnChip()) onChip(GPU);
  const chip = await openChip();
  const { model, entry, batch, dtype } = SECTIONS[number];
  const rows = await rowsOf(chip, `models/${model}.ts`, { entry: [entry], batch, dtype });
  const title = `## ${model} ${entry}, ${dtype}, batch ${batch}`;
  console.log([title, '', summary(rows), '', ...markdownOf(rows)].join('\n'));
  process.exit(0);
}

async function rowsOf(chip: Chip, path: string, asked: Omit<Building, 'device'>): Promise<Row[]> {
  const building = { ...asked, device: DEVICES[GPU] };
  const rows: Row[] = [];
  for (const kernel of await kernelsOf(fileURLToPath(new URL(path, ROOT)), building))
    rows.push(...(await measured(chip, kernel)));
  return rows;
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

const page = (sections: readonly string[]): string =>
  `# What a compiler for real GPUs makes of our kernels

Written by \`npm run lab -- results\`; the README beside it says what the columns mean. For ${DEVICES[GPU]} (${GPU}), by Dawn ${dawnVersion()}
and Mesa’s RADV. Kernels that multiply most come first.

${sections.join('\n\n')}
`;
