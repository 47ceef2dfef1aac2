/** Dead lets go, whatever block they are in; what is read, directly or by another let, stays. */
import { expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import { printKernel } from '../../../compiler/emit/wgsl.ts';

it('keeps exactly the lets that something reads', () => {
  const b = new KernelBuilder();
  const out = b.buffer('out', 'u32', 8, 'read_write');
  const lane = b.name('lane', 'u32', 0);
  const kept = b.bind('kept', b.binary('*', lane, b.u32(3)));
  b.bind('dead', b.binary('/', b.bind('only_for_dead', b.binary('+', lane, b.u32(9))), b.u32(2)));
  b.loop('i', 4, (i) => {
    b.bind('dead_inside', b.binary('%', i, b.u32(5)));
    b.store(out, i, b.bind('sum', b.binary('+', kept, i)));
  });
  const text = printKernel(b.finish(8, [1, 1, 1]), []);
  expect(text.match(/let \w+/g)).toEqual(['let kept', 'let sum']);
});
