/** `lab isa`: kernels as machine code of a GPU that is not there. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, hotLoops, type Mix } from './assembly.ts';
import { DEVICES, isOnChip, onChip, openChip, type Chip } from './chip.ts';
import { kernelsOf, type Building, type LabKernel } from './kernels.ts';
import { loadsBeyond } from './loads.ts';
import { tableOf } from './table.ts';

export interface IsaOptions extends Omit<Building, 'device'> {
  readonly device?: string;
  readonly gpu: string;
  readonly kernel?: readonly string[];
  readonly loops?: boolean;
  readonly asm?: string;
  readonly json?: boolean;
}

/** A kernel on the chip, or one of its loops. */
export interface Row extends Omit<LabKernel, 'wgsl'> {
  /** What one turn of the loop does for a lane. */
  readonly loop?: Mix;
  /** 1 is what an instruction of f32 does; those of matrix units and those issued two at a time do more. */
  readonly macPerInstruction?: number;
  readonly ldsBytesPerMac?: number;
  readonly globalBytesPerMac?: number;
  /** Of a product's loads in its loop over the depth, the share of those of neither operand. */
  readonly beyond?: number;
  readonly vgprs?: number;
  readonly spills?: number;
  /** Bytes of workgroup memory. */
  readonly lds?: number;
  /** Most that a SIMD holds at a time. */
  readonly waves?: number;
  readonly error?: string;
}

export async function isa(paths: readonly string[], options: IsaOptions): Promise<void> {
  if (!isOnChip()) onChip(options.gpu);
  const chip = await openChip();
  const device = options.device ?? DEVICES[options.gpu] ?? chip.spec;
  const rows: Row[] = [];
  for (const path of paths) {
    const kernels = await kernelsOf(path, { ...options, device });
    const wanted = kernels.filter(({ name }) => options.kernel?.some((start) => name.startsWith(start)) ?? true);
    for (const kernel of wanted) rows.push(...(await measured(chip, kernel, options)));
  }
  if (options.json) console.log(JSON.stringify({ gpu: options.gpu, rows }, null, 1));
  else console.log([`${options.gpu}: one turn of the hottest loop, per lane`, ...tableOf(rows)].join('\n'));
  process.exit(rows.some(({ error }) => error) ? 1 : 0);
}

/** A row for the kernel, or one for each of its loops. */
export async function measured(
  chip: Chip,
  { wgsl, ...kernel }: LabKernel,
  { loops: all, asm }: Pick<IsaOptions, 'loops' | 'asm'> = {},
): Promise<Row[]> {
  try {
    const { stats, listing } = await chip.compile(wgsl);
    const code = codeOf(listing);
    if (asm) keep(asm, kernel.name, wgsl, code);
    const loops = hotLoops(code);
    const known = { ...kernel, beyond: kernel.plan?.startsWith('product') ? loadsBeyond(wgsl) : undefined };
    return (all ? loops : loops.slice(0, 1)).map((mix) => ({ ...known, ...figuresOf(mix), ...sizesOf(stats) }));
  } catch (error) {
    return [{ ...kernel, error: (error as Error).message }];
  }
}

function keep(folder: string, name: string, wgsl: string, code: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.wgsl`), wgsl);
  writeFileSync(join(folder, `${name}.s`), `${code.join('\n')}\n`);
}

function figuresOf(loop: Mix) {
  const { macs, instructions, ldsBytes, globalBytes } = loop;
  const ratios = macs && {
    macPerInstruction: macs / instructions,
    ldsBytesPerMac: ldsBytes / macs,
    globalBytesPerMac: globalBytes / macs,
  };
  return { loop, ...ratios };
}

const sizesOf = (stats: Readonly<Record<string, number>>) => ({
  vgprs: stats.VGPRs,
  spills: stats['Spilled VGPRs'],
  lds: stats['LDS size'],
  waves: stats['Subgroups per SIMD'],
});
