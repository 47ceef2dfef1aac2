/** `lab results`: RESULTS.md, the figures of every kernel of the models that matter most. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dawnVersion } from '../../runtime/node/dawn.ts';
import { DEVICES, isOnChip, onChip, openChip, type Chip } from './chip.ts';
import { measured, type Row } from './isa.ts';
import { kernelsOf, type Building } from './kernels.ts';
import { markdownOf, tableOf } from './table.ts';

const GPU = 'navi31';
const ROOT = new URL('../../', import.meta.url);

/** A training step is of 8 examples, all else of one. */
const DIT = { forward: 1, trainStep: 8 };
const CASES: readonly { readonly model: string; readonly entries: Readonly<Record<string, number>> }[] = [
  { model: 'dit-s', entries: DIT },
  { model: 'dit-xl', entries: DIT },
  { model: 'vae-f8', entries: { encode: 1, decode: 1 } },
];

export async function writeResults(only?: readonly string[]): Promise<void> {
  if (!isOnChip()) onChip(GPU);
  const chip = await openChip();
  const sections: string[] = [];
  for (const { model, entries } of CASES.filter((one) => only?.includes(one.model) ?? true))
    for (const [entry, batch] of Object.entries(entries))
      for (const dtype of ['f32', 'f16'] as const) {
        const rows = await rowsOf(chip, `models/${model}.ts`, { entry: [entry], batch, dtype });
        sections.push(
          [
            `## ${model} ${entry}, ${dtype}, batch ${batch}`,
            '',
            summary(rows),
            '',
            ...(only ? tableOf : markdownOf)(rows),
          ].join('\n'),
        );
      }
  if (only) console.log(sections.join('\n\n'));
  else writeFileSync(fileURLToPath(new URL('bench/lab/RESULTS.md', ROOT)), page(chip, sections));
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

const page = ({ spec }: Chip, sections: readonly string[]): string =>
  `# What a compiler for real GPUs makes of our kernels

Written by \`npm run lab -- results\`; the README beside it says what the columns mean. For
${DEVICES[GPU]} (${GPU}), by Dawn ${dawnVersion()} and ${spec.description}. Kernels that multiply most come first.

${sections.join('\n\n')}
`;
