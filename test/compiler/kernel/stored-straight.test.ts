/** Lets that are read by nothing, or only name what is stored, go from a kernel as it is built; what is read, directly or by another let, stays. */
import { expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import { printKernel } from '../../../compiler/target/wgsl.ts';

it('keeps exactly the lets that something reads', () => {
  const b = new KernelBuilder();
  const out = b.buffer('out', 'u32', 8, 'read_write');
  const lane = b.name('lane', 'u32', 0);
  const kept = b.bind('kept', b.binary('*', lane, b.u32(3)));
  b.bind('dead', b.binary('/', b.bind('only_for_dead', b.binary('+', lane, b.u32(9))), b.u32(2)));
  b.loop('i', 4, (i) => {
    b.bind('dead_inside', b.binary('%', i, b.u32(5)));
    const sum = b.bind('sum', b.binary('+', kept, i));
    b.store(out, sum, sum);
  });
  const text = printKernel(b.finish(8, [1, 1, 1]), []);
  expect(text.match(/let \w+/g)).toEqual(['let kept', 'let sum']);
});

it('stores what nothing else reads without naming it', () => {
  const b = new KernelBuilder();
  const out = b.buffer('out', 'u32', 8, 'read_write');
  const lane = b.name('lane', 'u32', 0);
  const twice = b.bind('twice', b.binary('*', lane, b.u32(2)));
  b.when(b.binary('<', lane, b.u32(4)), () => b.store(out, lane, twice));
  const text = printKernel(b.finish(8, [1, 1, 1]), []);
  expect(text).not.toContain('let');
  expect(text).toContain('if (lane < 4u) {\n    out[lane] = lane * 2u;');
});

it('keeps what all lanes of a subgroup compute out of a condition', () => {
  const b = new KernelBuilder();
  const out = b.buffer('out', 'u32', 8, 'read_write');
  const lane = b.name('lane', 'u32', 0);
  const sum = b.bind('sum', b.call('subgroupAdd', [lane]));
  b.when(b.binary('<', lane, b.u32(1)), () => b.store(out, lane, sum));
  expect(printKernel(b.finish(8, [1, 1, 1]), [])).toMatch(/let sum = .*;\n {2}if/);
});
