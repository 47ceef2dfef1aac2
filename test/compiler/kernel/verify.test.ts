/** What the verifier of kernel IR holds to: each rule by a kernel that breaks it, and one that keeps all. */
import { describe, expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import type { Kernel } from '../../../compiler/kernel/ir.ts';
import { printIr } from '../../../compiler/kernel/print.ts';
import { fragment } from '../../../compiler/kernel/types.ts';
import { verifyKernel } from '../../../compiler/kernel/verify.ts';

const kernel = (write: (b: KernelBuilder) => void, workgroup = 8): Kernel => {
  const b = new KernelBuilder();
  write(b);
  return b.finish(workgroup, [2, 1, 1]);
};
const lane = (b: KernelBuilder) => b.name('lane', 'u32', 0);

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
  'a subgroup operation under a condition on the lane': [
    (b) => {
      const y = b.buffer('y', 'u32', 8, 'read_write');
      b.when(b.binary('<', lane(b), b.u32(4)), () => b.store(y, lane(b), b.call('subgroupAdd', [lane(b)])));
    },
    /what a subgroup does together stands where all of it come by: subgroupAdd\(lane\)/,
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

it('a barrier under a condition that all share is none of them', () => {
  const shared = kernel((b) => b.when(b.binary('<', b.name('group.x', 'u32', 0), b.u32(1)), () => b.barrier()));
  expect(() => verifyKernel(shared)).not.toThrow();
});
