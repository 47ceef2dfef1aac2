/** Each pass over kernel IR: what it makes of a kernel, as text; and what it must leave alone. */
import { describe, expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import type { Buffer, Expr, Kernel, Stmt } from '../../../compiler/kernel/ir.ts';
import { KERNEL_PASSES } from '../../../compiler/kernel/passes.ts';
import { printIr } from '../../../compiler/kernel/print.ts';
import { verifyKernel } from '../../../compiler/kernel/verify.ts';

const b = new KernelBuilder();
const lane = b.name('lane', 'u32', 0);
const x = { name: 'x', dtype: 'f32', elements: 64, access: 'read' } as const;
const y = { name: 'y', dtype: 'f32', elements: 64, access: 'read_write' } as const;
/** Names that one test calls differently from another: numbered apart from the builder's own expressions. */
let next = -1;
const nameOf = (name: string, type: 'u32' | 'f32'): Expr => ({ kind: 'name', name, type, id: next--, level: 0 });
const u32 = (name: string) => nameOf(name, 'u32');
const f32 = (name: string) => nameOf(name, 'f32');
const bind = (name: string, value: Expr): Stmt => ({ kind: 'let', name, value });
const loop = (index: string, count: number, ...body: Stmt[]): Stmt => ({
  kind: 'for',
  index,
  count,
  rolled: false,
  body,
});
const when = (condition: Expr, ...body: Stmt[]): Stmt => ({ kind: 'if', condition, body });
const store = (index: Expr, value: Expr): Stmt => ({ kind: 'store', buffer: y, index, value });
const less = (a: Expr, than: number) => b.binary('<', a, b.u32(than));
const plus = (a: Expr, c: Expr) => b.binary('+', a, c);

const kernelOf = (body: readonly Stmt[]): Kernel => ({
  buffers: [x, y],
  shared: [],
  workgroupSize: 64,
  grid: [1, 1, 1],
  usesSubgroups: false,
  body,
});

/** The statements that a pass makes, one line each. */
function after(pass: string, ...body: Stmt[]): string[] {
  const made = KERNEL_PASSES.find(({ name }) => name === pass)!.run(verifyKernel(kernelOf(body)));
  return printIr(verifyKernel(made)).split('\n').slice(3, -2);
}

describe('vectorize', () => {
  const open = (name: string, access: Buffer['access']) =>
    ({ name, dtype: 'f32', elements: 64, access, fours: 'open' }) as const;
  const [from, to] = [open('from', 'read'), open('to', 'read_write')];
  const four = b.bind('v', b.loadFour(from, lane));
  const load = bind('v', b.loadFour(from, lane));
  const all = (value: Expr, index: Expr = lane): Stmt => ({ kind: 'store', buffer: to, index, value });

  const made = (...body: Stmt[]): string[] => {
    const kernel = { ...kernelOf(body), buffers: [from, to, y] };
    const { run } = KERNEL_PASSES.find(({ name }) => name === 'vectorize')!;
    return printIr(verifyKernel(run(verifyKernel(kernel))))
      .split('\n')
      .slice(1, -2);
  };

  it('declares in fours what is always taken by fours, or at a known place in one', () => {
    expect(made(load, all(four), store(lane, b.component(four, 3)))).toEqual([
      '  read from: f32[64] by fours',
      '  read_write to: f32[64] by fours',
      '  read_write y: f32[64]',
      '  let v: vec4f = from[lane]',
      '  to[lane] = v',
      '  y[lane] = v.3',
    ]);
  });

  it('takes fours apart of what is read elsewhere by element; each memory for itself', () => {
    const next = plus(b.binary('*', lane, b.u32(2)), b.u32(5));
    const lets = [bind('v', b.loadFour(from, next)), bind('one', b.load(from, lane))];
    expect(made(...lets, all(four), store(lane, b.component(four, 3)))).toEqual([
      '  read from: f32[64]',
      '  read_write to: f32[64] by fours',
      '  read_write y: f32[64]',
      '  let v_x: f32 = from[((lane * 8) + 20)]',
      '  let v_y: f32 = from[((lane * 8) + 21)]',
      '  let v_z: f32 = from[((lane * 8) + 22)]',
      '  let v_w: f32 = from[((lane * 8) + 23)]',
      '  let one: f32 = from[lane]',
      '  to[lane] = vec4f(v_x, v_y, v_z, v_w)',
      '  y[lane] = v_w',
    ]);
  });

  it('takes no name twice', () => {
    const lets = [bind('v', b.loadFour(from, lane)), bind('v_w', b.load(from, lane))];
    expect(made(...lets, store(lane, b.component(four, 3))).slice(-3)).toEqual([
      '  let v_w_: f32 = from[((lane * 4) + 3)]',
      '  let v_w: f32 = from[lane]',
      '  y[lane] = v_w_',
    ]);
  });

  it('stores one by one where something else is', () => {
    const sums = [0, 1, 2, 3].map((value) => b.literal(value, 'f32'));
    expect(made(load, all(four), all(b.literal(1, 'f32'))).slice(1)).toEqual([
      '  read_write to: f32[64]',
      '  read_write y: f32[64]',
      '  let v: vec4f = from[lane]',
      '  to[(lane * 4)] = v.0',
      '  to[((lane * 4) + 1)] = v.1',
      '  to[((lane * 4) + 2)] = v.2',
      '  to[((lane * 4) + 3)] = v.3',
      '  to[lane] = 1',
    ]);
    expect(made(all(b.call('vec4f', sums, 'vec4f')), all(sums[0])).slice(3)).toEqual([
      '  to[(lane * 4)] = 0',
      '  to[((lane * 4) + 1)] = 1',
      '  to[((lane * 4) + 2)] = 2',
      '  to[((lane * 4) + 3)] = 3',
      '  to[lane] = 0',
    ]);
  });
});

describe('unroll', () => {
  it('writes a loop of one round straight', () => {
    expect(after('unroll', loop('i', 1, store(plus(lane, u32('i')), b.load(x, u32('i')))))).toEqual([
      '  y[(lane + 0)] = x[0]',
    ]);
  });

  it('leaves others', () => {
    expect(after('unroll', loop('i', 2, bind('j', u32('i'))))).toHaveLength(3);
  });
});

describe('simplify', () => {
  const value = (index: Expr) => after('simplify', store(lane, b.load(x, index)));

  it('drops remainders, quotients and bounds that the workgroup decides', () => {
    expect(value(b.binary('%', lane, b.u32(64)))).toEqual(['  y[lane] = x[lane]']);
    expect(value(b.binary('/', lane, b.u32(64)))).toEqual(['  y[lane] = x[0]']);
    expect(value(b.call('min', [lane, b.u32(63)]))).toEqual(['  y[lane] = x[lane]']);
    expect(value(b.call('max', [lane, b.u32(0)]))).toEqual(['  y[lane] = x[lane]']);
  });

  it('leaves those that it does not decide', () => {
    expect(value(b.binary('%', lane, b.u32(63)))).toEqual(['  y[lane] = x[(lane % 63)]']);
    expect(value(b.call('min', [lane, b.u32(62)]))).toEqual(['  y[lane] = x[min(lane, 62)]']);
    // It may wrap around.
    const below = b.call('min', [b.binary('-', lane, b.u32(1)), b.u32(63)]);
    expect(value(below)).toEqual(['  y[lane] = x[min((lane - 1), 63)]']);
    expect(value(b.binary('%', u32('group.x'), b.u32(64)))).toEqual(['  y[lane] = x[(group.x % 64)]']);
  });

  it('drops conditions that hold, and what stands under those that do not', () => {
    const one = b.literal(1, 'f32');
    expect(after('simplify', when(less(lane, 64), store(lane, one)))).toEqual(['  y[lane] = 1']);
    expect(after('simplify', when(b.binary('>=', lane, b.u32(64)), store(lane, one)))).toEqual([]);
    expect(after('simplify', when(b.binary('&&', less(lane, 64), less(lane, 3)), store(lane, one)))).toEqual([
      '  if (lane < 3) {',
      '    y[lane] = 1',
      '  }',
    ]);
  });

  it('knows what conditions and loops say of a name, and only inside of them', () => {
    const inside = store(lane, b.load(x, b.call('min', [lane, b.u32(7)])));
    expect(after('simplify', when(less(lane, 8), inside), inside).map((line) => line.trim())).toEqual([
      'if (lane < 8) {',
      'y[lane] = x[lane]',
      '}',
      'y[lane] = x[min(lane, 7)]',
    ]);
    const round = store(lane, b.load(x, b.binary('%', u32('i'), b.u32(4))));
    expect(after('simplify', loop('i', 4, round))[1]).toBe('    y[lane] = x[i]');
  });

  it('leaves floats alone: a sum with 0 is no number that was −0', () => {
    const sum = b.binary('+', b.load(x, lane), b.literal(0, 'f32'));
    expect(after('simplify', store(lane, sum))).toEqual(['  y[lane] = (x[lane] + 0)']);
  });
});

describe('narrow-loads', () => {
  const half = { name: 'h', dtype: 'f16', elements: 16, access: 'read', fours: true } as const;
  const read = (buffer: Buffer, wanted = b.name('v', 'vec4f', 0)): string[] => {
    const kernel = { ...kernelOf([]), buffers: [buffer, x, y], shared: [tile] };
    const loaded = b.load(buffer, lane);
    const narrow = b.convert(wanted, 'vec4h');
    const body = [bind('v', loaded), { kind: 'storeShared', array: tile, index: lane, value: narrow } as const];
    const made = KERNEL_PASSES.find(({ name }) => name === 'narrow-loads')!.run(verifyKernel({ ...kernel, body }));
    return printIr(verifyKernel(made)).split('\n').slice(-4, -2);
  };
  const tile = { name: 'tile', elements: 64, type: 'vec4h' } as const;

  it('reads what memory holds as f16 as f16, where that is wanted', () => {
    expect(read(half)[1]).toBe('  tile[lane] = h[lane]');
  });

  it('and where a condition says whether it is that or zeros', () => {
    const zeros = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
    const either = b.call('select', [zeros, b.name('v', 'vec4f', 0), b.binary('<', lane, b.u32(4))], 'vec4f');
    expect(read(half, either)[1]).toBe('  tile[lane] = select(vec4h(0), h[lane], (lane < 4))');
  });

  it('not where f16 may not have the number', () => {
    const either = b.call(
      'select',
      [b.call('vec4f', [b.literal(0.1, 'f32')], 'vec4f'), b.name('v', 'vec4f', 0), b.binary('<', lane, b.u32(4))],
      'vec4f',
    );
    expect(read(half, either)[1]).toBe('  tile[lane] = vec4h(select(vec4f(0.1), v, (lane < 4)))');
  });

  it('leaves what somebody writes, who may come between', () => {
    expect(read({ ...half, name: 'w', access: 'read_write' })[1]).toBe('  tile[lane] = vec4h(v)');
  });
});

describe('licm', () => {
  it('computes before a loop what is the same in every round', () => {
    const body = [
      bind('a', plus(lane, b.u32(1))),
      bind('c', b.load(x, u32('a'))),
      bind('d', plus(u32('a'), u32('k'))),
      store(u32('d'), f32('c')),
    ];
    expect(after('licm', loop('j', 2, loop('k', 4, ...body)))).toEqual([
      '  let a: u32 = (lane + 1)',
      '  let c: f32 = x[a]',
      '  for j < 2 {',
      '    for k < 4 {',
      '      let d: u32 = (a + k)',
      '      y[d] = c',
      '    }',
      '  }',
    ]);
  });

  it('never takes a load out of the condition that it stands under', () => {
    const guarded = when(less(lane, 32), bind('c', b.load(x, plus(lane, b.u32(32)))), store(lane, f32('c')));
    expect(after('licm', loop('k', 4, guarded))).toEqual([
      '  for k < 4 {',
      '    if (lane < 32) {',
      '      let c: f32 = x[(lane + 32)]',
      '      y[lane] = c',
      '    }',
      '  }',
    ]);
  });

  it('leaves what is written meanwhile: variables, and memory that the kernel writes', () => {
    const sum = { name: 'sum', type: 'f32' } as const;
    const start: Stmt = { kind: 'var', variable: sum, value: b.literal(0, 'f32') };
    const body = [
      bind('old', f32('sum')),
      bind('own', b.load(y, lane)),
      { kind: 'assign', variable: sum, value: b.binary('+', f32('old'), f32('own')) } as const,
    ];
    expect(after('licm', start, loop('k', 4, ...body))[2]).toBe('    let old: f32 = sum');
    expect(after('licm', start, loop('k', 4, ...body))[3]).toBe('    let own: f32 = y[lane]');
  });
});

describe('cse', () => {
  it('calls by its name what has one', () => {
    const half = () => b.binary('/', lane, b.u32(2));
    expect(
      after(
        'cse',
        bind('a', half()),
        bind('c', plus(half(), b.u32(1))),
        bind('d', half()),
        store(u32('c'), b.load(x, u32('d'))),
      ),
    ).toEqual(['  let a: u32 = (lane / 2)', '  let c: u32 = (a + 1)', '  y[c] = x[a]']);
  });

  it('sees through the names of parts', () => {
    const half = b.binary('/', lane, b.u32(2));
    const twice = bind('twice', b.binary('*', half, b.u32(3)));
    expect(
      after('cse', twice, bind('half', half), store(b.binary('*', u32('half'), b.u32(3)), b.literal(0, 'f32'))),
    ).toEqual(['  let twice: u32 = ((lane / 2) * 3)', '  let half: u32 = (lane / 2)', '  y[twice] = 0']);
  });

  it('not by a name of a block that is closed', () => {
    const load = b.load(x, lane);
    const inner = (name: string) => when(less(lane, 8), bind(name, load), store(lane, f32(name)));
    expect(after('cse', inner('a'), inner('c')).filter((line) => line.includes('let'))).toHaveLength(2);
  });

  it('not what a variable held before', () => {
    const sum = { name: 'sum', type: 'u32' } as const;
    const stmts: Stmt[] = [
      { kind: 'var', variable: sum, value: lane },
      bind('before', u32('sum')),
      { kind: 'assign', variable: sum, value: b.u32(1) },
      bind('now', u32('sum')),
      store(u32('before'), b.load(x, u32('now'))),
    ];
    expect(after('cse', ...stmts).at(-1)).toBe('  y[before] = x[now]');
  });
});

describe('dce', () => {
  it('drops what nothing reads, and blocks with nothing in them', () => {
    const dead = [bind('a', plus(lane, b.u32(1))), bind('c', plus(u32('a'), b.u32(1)))];
    expect(after('dce', ...dead, loop('k', 4, bind('d', u32('k'))), store(lane, b.literal(0, 'f32')))).toEqual([
      '  y[lane] = 0',
    ]);
  });
});

it('all of them together: indices of a partial tile', () => {
  const kernel = kernelOf([
    loop(
      's',
      1,
      bind('e', plus(lane, b.binary('*', u32('s'), b.u32(64)))),
      bind('row', b.binary('/', u32('e'), b.u32(8))),
      bind('column', b.binary('%', b.binary('%', u32('e'), b.u32(64)), b.u32(8))),
      bind('at', plus(b.binary('*', b.binary('/', u32('e'), b.u32(8)), b.u32(8)), u32('column'))),
      bind('value', b.load(x, u32('at'))),
      when(less(u32('e'), 64), store(u32('at'), f32('value'))),
    ),
  ]);
  const made = KERNEL_PASSES.reduce((current, { run }) => verifyKernel(run(current)), kernel);
  expect(printIr(made).split('\n').slice(3, -2)).toEqual([
    '  let column: u32 = (lane % 8)',
    '  let at: u32 = (((lane / 8) * 8) + column)',
    '  y[at] = x[at]',
  ]);
});
