/**
 * What is done to every kernel once its lowering has written it, whatever the family: the ordered list. A pass takes kernel IR and gives
 * kernel IR that computes the same, to the bit.
 */
import type { Kernel } from './ir.ts';
import { dropLets } from './passes/drop-lets.ts';
import { hoistLets } from './passes/hoist-lets.ts';
import { inlineStores } from './passes/inline-stores.ts';
import { mergeLets } from './passes/merge-lets.ts';
import { nameBases } from './passes/name-bases.ts';
import { narrowLoads } from './passes/narrow-loads.ts';
import { simplify } from './passes/simplify.ts';
import { unroll } from './passes/unroll.ts';
import { vectorize } from './passes/vectorize.ts';

export interface KernelPass {
  readonly name: string;
  readonly doc: string;
  run(kernel: Kernel): Kernel;
}

const DCE: KernelPass = { name: 'dce', doc: 'lets that nothing reads go', run: dropLets };

export const KERNEL_PASSES: readonly KernelPass[] = [
  { name: 'vectorize', doc: 'memory that is always taken by fours is declared in fours', run: vectorize },
  { name: 'unroll', doc: 'loops of one round are written straight', run: unroll },
  { name: 'simplify', doc: 'ranges of indices decide remainders, bounds and conditions', run: simplify },
  { name: 'narrow-loads', doc: 'f16 that is wanted as f16 is not read as f32', run: narrowLoads },
  DCE,
  { name: 'licm', doc: 'what is the same in every round of a loop is computed before it', run: hoistLets },
  { name: 'cse', doc: 'what has a name already is called by it', run: mergeLets },
  DCE,
  { name: 'inline-stores', doc: 'what only the next store reads needs no name', run: inlineStores },
  { name: 'name-bases', doc: 'what indices start from is named after the array that they are of', run: nameBases },
];

export const runKernelPasses = (kernel: Kernel): Kernel =>
  KERNEL_PASSES.reduce((current, { run }) => run(current), kernel);
