/** What the verifier of kernel IR holds to: each rule by a kernel that breaks it, and one that keeps all. */
import { describe, expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import type { Expr, Kernel } from '../../../compiler/kernel/ir.ts';
import { printIr } from '../../../compiler/kernel/print.ts';
import { fragment } from '../../../compiler/kernel/types.ts';
import { verifyKernel } from '../../../compiler/kernel/verify.ts';

const kernel = (write: (b: KernelBuilder) => void, workgroup = 8): Kernel => {
  const b = new KernelBuilder();
  write(b);
  return b.finish(workgroup, [2, 1, 1]);
};
const lane = (b: KernelBuilder) => b.name('lane', 'u32', 0);
const group = (b: KernelBuilder) => b.name('group.x', 'u32', 0);
const yes = (b: KernelBuilder) => b.literal(true, 'bool');
const one = (b: KernelBuilder) => b.literal(1, 'f32');
/** Computes a value and keeps it. */
const computes =
  (value: (b: KernelBuilder) => Expr) =>
  (b: KernelBuilder): void =>
    void b.variable('v', value(b));

it('a sound kernel passes, and reads as text', () => {
  const sound = kernel((b) => {
    const [x, y] = [b.buffer('x', 'f16', 16, 'read'), b.buffer('y', 'f32', 16, 'read_write')];
    const tile = b.sharedArray('tile', 8, 'vec4h');
    const i = b.bind('i', b.binary('+', b.binary('*', b.name('group.x', 'u32', 0), b.u32(8)), lane(b)));
    const half = b.load(x, i, 'f16');
    b.storeShared(tile, lane(b), b.call('vec4h', [half], 'vec4h'));
    b.barrier();
    b.when(b.binary('<', lane(b), b.u32(4)), () => {
      const four = b.bind('four', b.loadShared(tile, lane(b)));
      b.store(y, i, b.component(four, 2));
    });
  });
  expect(verifyKernel(sound)).toBe(sound);
  expect(printIr(sound)).toBe(`kernel of 8, grid 2×1×1 {
  read x: f16[16]
  read_write y: f32[16]
  shared tile: vec4h[8]
  let i: u32 = ((group.x * 8) + lane)
  tile[lane] = vec4h(x[i])
  barrier
  if (lane < 4) {
    let four: vec4f = tile[lane]
    y[i] = four.2
  }
}
`);
});

const BROKEN: Readonly<Record<string, [write: (b: KernelBuilder) => void, why: RegExp]>> = {
  'a name that is not defined': [
    (b) => b.store(b.buffer('y', 'u32', 8, 'read_write'), lane(b), b.name('elsewhere', 'u32', 0)),
    /elsewhere is not defined here: y\[lane\] = elsewhere/,
  ],
  'a name of an inner block': [
    (b) => {
      const y = b.buffer('y', 'u32', 8, 'read_write');
      let inner = b.u32(0);
      b.loop('k', 4, (k) => (inner = b.bind('inner', b.binary('+', k, lane(b)))));
      b.store(y, lane(b), inner);
    },
    /inner is not defined here/,
  ],
  'operands of two types': [
    (b) => b.store(b.buffer('y', 'f32', 8, 'read_write'), lane(b), b.binary('+', b.literal(1, 'f32'), lane(b))),
    /f32 \+ u32/,
  ],
  'a vector in an array of numbers': [
    (b) => b.storeShared(b.sharedArray('tile', 8), lane(b), b.call('vec4f', [b.literal(0, 'f32')], 'vec4f')),
    /a vec4f in an array of f32/,
  ],
  'a store to what is bound for reading': [
    (b) => b.store(b.buffer('x', 'u32', 8, 'read'), lane(b), lane(b)),
    /x is bound for reading/,
  ],
  'an access that is sure to leave its array': [
    (b) => b.storeShared(b.sharedArray('tile', 8), b.binary('+', lane(b), b.u32(8)), b.literal(0, 'f32')),
    /tile has 8 elements, \(lane \+ 8\) is at least 8/,
  ],
  'one that a condition makes sure of': [
    (b) => {
      const tile = b.sharedArray('tile', 4);
      b.when(b.binary('>=', lane(b), b.u32(4)), () => b.storeShared(tile, lane(b), b.literal(0, 'f32')));
    },
    /tile has 4 elements, lane is at least 4/,
  ],
  'a barrier under a condition on the lane': [
    (b) => b.when(b.binary('<', lane(b), b.u32(4)), () => b.barrier()),
    /a barrier stands where all invocations come by/,
  ],
  'a barrier after some have returned': [
    (b) => {
      b.returnIf(b.binary('<', lane(b), b.u32(4)));
      b.barrier();
    },
    /a barrier stands where all invocations come by/,
  ],
  'a barrier after some have returned from a block': [
    (b) => {
      b.when(b.binary('<', group(b), b.u32(1)), () => b.returnIf(b.binary('<', lane(b), b.u32(4))));
      b.barrier();
    },
    /a barrier stands where all invocations come by/,
  ],
  'a barrier after some have returned under a condition on the lane': [
    (b) => {
      b.when(b.binary('<', lane(b), b.u32(4)), () => b.returnIf(b.binary('<', group(b), b.u32(1))));
      b.barrier();
    },
    /a barrier stands where all invocations come by/,
  ],
  'a barrier that some have returned from in the round before': [
    (b) =>
      b.loop('k', 4, (k) => {
        b.barrier();
        b.returnIf(b.binary('<', lane(b), k));
      }),
    /a barrier stands where all invocations come by: barrier/,
  ],
  'a subgroup operation under a condition on the lane': [
    (b) => {
      const y = b.buffer('y', 'u32', 8, 'read_write');
      b.when(b.binary('<', lane(b), b.u32(4)), () => b.store(y, lane(b), b.call('subgroupAdd', [lane(b)])));
    },
    /what a subgroup does together stands where all invocations come by: y\[lane\] = subgroupAdd\(lane\)/,
  ],
  'a choice by a number': [
    (b) => {
      const y = b.buffer('y', 'u32', 8, 'read_write');
      b.store(y, lane(b), b.call('select', [b.u32(0), lane(b), lane(b)]));
    },
    /select chooses by a bool/,
  ],
  'a component that there is not': [
    (b) => b.store(b.buffer('y', 'u32', 8, 'read_write'), lane(b), b.component(lane(b), 1)),
    /a u32 has no component 1/,
  ],
  'fragments that do not multiply': [
    (b) => {
      const [left, right] = [fragment('f16', 16, 8, 'left'), fragment('f16', 16, 8, 'right')];
      const zero = b.zeroFragment(fragment('f32', 16, 8, 'result'));
      b.variable('sum', b.multiplyAccumulate(b.zeroFragment(left), b.zeroFragment(right), zero));
    },
    /fragment<f16,16,8,left> · fragment<f16,16,8,right> is no fragment<f32,16,8,result>/,
  ],
  'a fragment of f16 loaded from f32': [
    (b) => {
      const tile = b.sharedArray('tile', 64);
      const place = { array: tile, offset: b.u32(0), stride: b.u32(8), by: 'rows' } as const;
      b.variable('left', b.loadFragment(fragment('f16', 8, 8, 'left'), place));
    },
    /a fragment<f16,8,8,left> in an array of f32/,
  ],
};

describe('refuses', () => {
  it.each(Object.entries(BROKEN))('%s', (_, [write, why]) => {
    expect(() => verifyKernel(kernel(write))).toThrow(why);
  });
});

/** Expressions that no rule gives a type. */
const UNTYPED: Readonly<Record<string, [value: (b: KernelBuilder) => Expr, why: RegExp]>> = {
  'a sum of conditions': [(b) => b.binary('+', yes(b), yes(b)), /bool \+ bool/],
  'an order of conditions': [(b) => b.binary('<', yes(b), yes(b)), /bool < bool/],
  'a conjunction of numbers': [(b) => b.binary('&&', lane(b), lane(b)), /u32 && u32/],
  'a comparison of vectors': [(b) => b.binary('<', b.call('vec4f', [one(b)], 'vec4f'), one(b)), /vec4f < f32/],
  'the least of one number': [(b) => b.call('min', [one(b)]), /min of 1 operands/],
  'the largest of conditions': [(b) => b.call('max', [yes(b), yes(b)]), /max\(bool, bool\)/],
  'an exponential of an integer': [(b) => b.call('exp', [lane(b)]), /exp\(u32\)/],
  'a product and a sum of two numbers': [(b) => b.call('fma', [one(b), one(b)]), /fma of 2 operands/],
  'a dot product of numbers': [(b) => b.call('dot', [one(b), one(b)], 'f32'), /dot\(f32, f32\)/],
  'a choice among three': [
    (b) => b.call('select', [one(b), b.literal(2, 'f32'), b.binary('<', lane(b), b.u32(4)), one(b)]),
    /select of 4 operands/,
  ],
  'a vector of three parts of four': [(b) => b.call('vec4f', [one(b), one(b), one(b)], 'vec4f'), /vec4f of 3 operands/],
  'a broadcast from a lane that is computed': [
    (b) => b.call('subgroupBroadcast', [one(b), lane(b)]),
    /subgroupBroadcast takes a lane that is written down/,
  ],
  'a sum of conditions over a subgroup': [(b) => b.call('subgroupAdd', [yes(b)]), /subgroupAdd\(bool\)/],
  'an op of a vector': [(b) => b.op('neg', [b.call('vec4f', [one(b)], 'vec4f')], {}, 'f32'), /neg takes numbers/],
  'an op of too few operands': [
    (b) => b.op('add', [one(b)], {}, 'f32'),
    /internal error: kernel IR: add: takes 2 operands/,
  ],
  'a fraction as an integer': [(b) => b.literal(0.5, 'u32'), /0.5 is no u32/],
  'a number below 0 as an index': [(b) => b.u32(-1), /-1 is no u32/],
  'a vector that becomes a number': [
    (b) => b.convert(b.call('vec4f', [one(b)], 'vec4f'), 'i32'),
    /a vec4f does not become a i32/,
  ],
  'fragments that are added': [
    (b) => {
      const zero = b.zeroFragment(fragment('f32', 8, 8, 'result'));
      return b.binary('+', zero, zero);
    },
    /fragment<f32,8,8,result> \+ fragment/,
  ],
};

describe('gives no type to', () => {
  it.each(Object.entries(UNTYPED))('%s', (_, [value, why]) => {
    expect(() => verifyKernel(kernel(computes(value)))).toThrow(why);
  });
});

it('a return of all, and of some who meet nobody again, is none of them', () => {
  const all = kernel((b) =>
    b.loop('k', 4, (k) => {
      b.barrier();
      b.returnIf(b.binary('<', group(b), k));
    }),
  );
  const some = kernel((b) => {
    b.barrier();
    b.returnIf(b.binary('<', lane(b), b.u32(4)));
  });
  for (const sound of [all, some]) expect(() => verifyKernel(sound)).not.toThrow();
});

it('what a condition says of a variable holds until it changes', () => {
  const changing = kernel((b) => {
    const y = b.buffer('y', 'u32', 8, 'read_write');
    const at = b.variable('at', lane(b));
    b.when(b.binary('>=', b.read(at), b.u32(4)), () => {
      b.assign(at, b.binary('-', b.read(at), b.u32(4)));
      b.when(b.binary('<', b.read(at), b.u32(4)), () => b.store(y, b.read(at), b.u32(1)));
    });
  });
  expect(printIr(verifyKernel(changing))).toMatch(/if \(at < 4\) \{\s+y\[at\] = 1/);
});

it('a barrier under a condition that all share is none of them', () => {
  const shared = kernel((b) => b.when(b.binary('<', b.name('group.x', 'u32', 0), b.u32(1)), () => b.barrier()));
  expect(() => verifyKernel(shared)).not.toThrow();
});
