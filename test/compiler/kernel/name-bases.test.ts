/** What indices start from is named after the array that they are of. */
import { expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import type { Expr, Kernel, Stmt } from '../../../compiler/kernel/ir.ts';
import { nameBases } from '../../../compiler/kernel/passes/name-bases.ts';
import { printIr } from '../../../compiler/kernel/print.ts';
import { verifyKernel } from '../../../compiler/kernel/verify.ts';

const b = new KernelBuilder();
const x = { name: 'x', dtype: 'f32', elements: 1024, access: 'read' } as const;
const y = { name: 'y', dtype: 'f32', elements: 1024, access: 'read_write' } as const;
const lane = b.name('lane', 'u32', 0);
const u32 = (name: string): Expr => b.name(name, 'u32', 0);
const plus = (a: Expr, c: Expr) => b.binary('+', a, c);
const times = (a: Expr, by: number) => b.binary('*', a, b.u32(by));
const bind = (name: string, value: Expr): Stmt => ({ kind: 'let', name, value });

function after(...body: Stmt[]): string[] {
  const kernel: Kernel = {
    ...{ buffers: [x, y], shared: [], workgroupSize: 64, grid: [1, 1, 1], usesSubgroups: false, body },
  };
  const made = nameBases(verifyKernel(kernel));
  return printIr(verifyKernel(made)).split('\n').slice(3, -2);
}

it('is the first array, whether the index is made of it at once or by way of another', () => {
  const read = bind('base_2', plus(u32('base'), times(u32('s'), 2)));
  const store: Stmt = {
    ...{ kind: 'store', buffer: y, index: plus(u32('base_1'), u32('s')) },
    value: b.load(x, u32('base_2')),
  };
  const loop: Stmt = { kind: 'for', index: 's', count: 2, rolled: false, body: [read, store] };
  expect(after(bind('base', times(lane, 4)), bind('base_1', times(lane, 2)), loop)).toEqual([
    '  let x_base: u32 = (lane * 4)',
    '  let y_base: u32 = (lane * 2)',
    '  for s < 2 {',
    '    let x_base_1: u32 = (x_base + (s * 2))',
    '    y[(y_base + s)] = x[x_base_1]',
    '  }',
  ]);
});

it('takes no name that there is, and leaves what is no part of an index', () => {
  const store: Stmt = { kind: 'store', buffer: y, index: u32('x_base'), value: b.load(x, u32('base')) };
  const condition = b.binary('<', u32('base_1'), b.u32(9));
  const made = after(
    bind('x_base', times(lane, 3)),
    bind('base', times(lane, 4)),
    bind('base_1', times(lane, 5)),
    store,
    { kind: 'if', condition, body: [{ kind: 'store', buffer: y, index: lane, value: b.load(x, lane) }] },
  );
  expect(made.slice(0, 5)).toEqual([
    '  let x_base: u32 = (lane * 3)',
    '  let x_base_1: u32 = (lane * 4)',
    '  let base_1: u32 = (lane * 5)',
    '  y[x_base] = x[x_base_1]',
    '  if (base_1 < 9) {',
  ]);
});
