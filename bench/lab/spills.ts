/** `lab spills`: kernels of all models on the chip, and whether their numbers fit its registers, as rows of SPILLS.md. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Precision } from '../../library/compiler.ts';
import { loadModel } from '../../compiler/frontend/index.ts';
import { DEVICES, isOnChip, onChip, openChip, type Chip } from './chip.ts';
import { measured, type Row } from './isa.ts';
import { kernelsOf, type LabKernel } from './kernels.ts';
import { putRow, today } from './rows.ts';

const GPU = 'navi31';
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

const PAGE = {
  path: fileURLToPath(new URL('SPILLS.md', import.meta.url)),
  heads: ['model', 'kernels', 'most registers', 'fewest waves', 'spill', 'day'],
  text: `# Whether kernels fit their registers

Written by \`npm run lab -- spills\`: all kernels of each model below, of [\`models/\`](../../models), compiled for ${DEVICES[GPU]} (${GPU}) by Mesa’s RADV.
“All” are the entries that \`ditc build\` compiles unless told.`,
};

interface Case {
  readonly path: string;
  readonly dtype: Precision;
  readonly batch: number;
  /** All, unless told. */
  readonly entry?: readonly string[];
}

/** Compiles `paths`, or all models; what fails is a row too. */
export async function spills(paths: readonly string[]): Promise<void> {
  if (!isOnChip()) onChip(GPU);
  const chip = await openChip();
  const known = new Map<string, Row>();
  let isGood = true;
  for (const one of (paths.length ? paths : modelFiles()).flatMap(casesOf)) {
    const { path, dtype, batch, entry } = one;
    const rows: Row[] = [];
    for (const kernel of await kernelsOf(path, { dtype, batch, entry, device: DEVICES[GPU] }))
      rows.push(await rowOf(chip, kernel, known));
    isGood = put(one, rows) && isGood;
  }
  process.exit(isGood ? 0 : 1);
}

/** Those that have a model to give. */
const modelFiles = (): string[] =>
  readdirSync(MODELS)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(MODELS, file))
    .filter((path) => /^export default/m.test(readFileSync(path, 'utf8')));

/** An example alone by all entries; where it learns, eight by those that do. */
function casesOf(path: string): Case[] {
  const learns = 'trainStep' in loadModel(path).model.entries;
  return (['f32', 'f16'] as const).flatMap((dtype): Case[] => [
    { path, dtype, batch: 1 },
    ...(learns ? [{ path, dtype, batch: 8, entry: ['trainStep'] }] : []),
  ]);
}

/** Models share kernels, but for what comments say. */
async function rowOf(chip: Chip, kernel: LabKernel, known: Map<string, Row>): Promise<Row> {
  const code = kernel.wgsl.replace(/^\s*\/\/.*\n/gm, '');
  const row = known.get(code) ?? (await measured(chip, kernel))[0];
  known.set(code, row);
  return { ...row, name: kernel.name };
}

/** Writes a row; whether nothing spilled. */
function put({ path, dtype, batch, entry }: Case, rows: readonly Row[]): boolean {
  const bad = rows.flatMap(({ name, spills, error }) =>
    error ? [`${name}: ${error}`] : spills ? [`${name} ${spills}`] : [],
  );
  const of = (pick: (row: Row) => number | undefined) => rows.map(pick).filter((n) => n !== undefined);
  const what = `${basename(path, '.ts')} ${entry?.join(', ') ?? 'all'}, ${dtype}, batch ${batch}`;
  const figures = [rows.length, Math.max(...of(({ vgprs }) => vgprs)), Math.min(...of(({ waves }) => waves))];
  putRow(PAGE, [what, ...figures.map(String), bad.join(', ') || 'none', today()]);
  console.log(`${what}: ${rows.length} kernels, ${bad.join(', ') || 'none spills'}`);
  return !bad.length;
}
