/** References against values known elsewhere: a reference that is wrong in the same way as its gradient would pass the rest. */
import { describe, expect, it } from 'vitest';
import { DTYPES, sizeOf, type Attrs, type DType, type Shape } from '../../../compiler/ir/index.ts';
import { opDef, type Dense } from '../../../compiler/ops/index.ts';

const tensor = (data: number[], shape: Shape = [data.length], dtype: DType = 'f32'): Dense => ({
  dtype,
  shape,
  data: Float64Array.from(data),
});

function run(name: string, inputs: Dense[], attrs: Attrs = {}): number[] {
  const def = opDef(name);
  const type = def.type(inputs, attrs);
  const out = def.reference(inputs, attrs, type);
  expect(DTYPES).toContain(out.dtype);
  expect(out.data.length).toBe(sizeOf(type.shape));
  return [...out.data];
}
const close = (got: number[], wanted: number[]) => wanted.forEach((x, i) => expect(got[i]).toBeCloseTo(x, 12));

describe('references', () => {
  // Abramowitz & Stegun table 7.1, and mpmath.
  it('erf', () => {
    const wanted = [0.5204998778130465, -0.8427007929497149, 0.9953222650189527, 0.9999992569016276];
    close(run('erf', [tensor([0.5, -1, 2, 3.5])]), wanted);
  });

  it('erf joins its two expansions', () => {
    const [below, above] = run('erf', [tensor([2.5 - 1e-9, 2.5])]);
    expect(above - below).toBeCloseTo(1e-9 * (2 / Math.sqrt(Math.PI)) * Math.exp(-6.25), 13);
  });

  // torch.nn.functional.gelu(approximate='tanh'), silu
  it('gelu and silu', () => {
    close(run('gelu', [tensor([1, -1])]), [0.8411919906082768, -0.15880800939172324]);
    close(run('silu', [tensor([1, -1])]), [0.7310585786300049, -0.2689414213699951]);
  });

  it('casts saturate from floats and keep bits between integers', () => {
    const big = tensor([-5.7, 3e9, 1e10, -1e10, 2.9]);
    expect(run('cast', [big], { dtype: 'u32' })).toEqual([0, 3e9, 4294967295, 0, 2]);
    expect(run('cast', [big], { dtype: 'i32' })).toEqual([-5, 2147483647, 2147483647, -2147483648, 2]);
    expect(run('cast', [tensor([-1], [1], 'i32')], { dtype: 'u32' })).toEqual([4294967295]);
    expect(run('cast', [tensor([4294967295], [1], 'u32')], { dtype: 'i32' })).toEqual([-1]);
    expect(run('cast', [big], { dtype: 'bool' })).toEqual([1, 1, 1, 1, 1]);
  });

  it('integers wrap around, divide towards zero and shift within 32 bits', () => {
    const u = (...x: number[]) => tensor(x, [x.length], 'u32');
    const i = (...x: number[]) => tensor(x, [x.length], 'i32');
    expect(run('mul', [u(0xffffffff, 0x10001), u(0xffffffff, 0x10001)])).toEqual([1, 0x20001]);
    expect(run('add', [u(0xffffffff), u(2)])).toEqual([1]);
    expect(run('sub', [u(1), u(2)])).toEqual([0xffffffff]);
    expect(run('add', [i(0x7fffffff), i(1)])).toEqual([-0x80000000]);
    expect(run('div', [i(-7, 7), i(2, -2)])).toEqual([-3, -3]);
    expect(run('rem', [i(-7, 7), i(2, -2)])).toEqual([-1, 1]);
    expect(run('shift_left', [u(0x80000001), u(1)])).toEqual([2]);
    expect(run('shift_right', [u(0x80000000), u(31)])).toEqual([1]);
    expect(run('bit_xor', [u(0xf0000000), u(0x0f000000)])).toEqual([0xff000000]);
  });

  it('views read the elements they say', () => {
    const x = tensor([0, 1, 2, 3, 4, 5], [2, 3]);
    expect(run('permute', [x], { perm: [1, 0] })).toEqual([0, 3, 1, 4, 2, 5]);
    expect(run('slice', [x], { start: [0, 0], size: [2, 2], step: [1, 2] })).toEqual([0, 2, 3, 5]);
    const windows = { axis: 1, size: 2, step: 1, dilation: 1 };
    expect(run('unfold', [x], windows)).toEqual([0, 1, 1, 2, 3, 4, 4, 5]);
    expect(run('unfold', [tensor([0, 1, 2, 3, 4, 5])], { axis: 0, size: 2, step: 2, dilation: 3 })).toEqual([
      0, 3, 2, 5,
    ]);
    expect(run('concat', [x, tensor([8, 9], [2, 1])], { axis: 1 })).toEqual([0, 1, 2, 8, 3, 4, 5, 9]);
    expect(run('pad', [tensor([1, 2])], { low: [1], high: [2], value: 7 })).toEqual([7, 1, 2, 7, 7]);
    expect(run('gather', [x, tensor([1, -3, 9], [3], 'i32')])).toEqual([3, 4, 5, 0, 1, 2, 3, 4, 5]);
    expect(run('broadcast', [tensor([1, 2], [2, 1])], { shape: [2, 2, 2] })).toEqual([1, 1, 2, 2, 1, 1, 2, 2]);
    expect(run('iota', [], { dtype: 'u32', shape: [2, 3], axis: 1 })).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('contractions and reductions', () => {
    const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const y = tensor([1, 0, 0, 1, 1, 1], [3, 2]);
    expect(run('matmul', [x, y])).toEqual([4, 5, 10, 11]);
    expect(run('linear', [x, tensor([1, 0, 2], [1, 3]), tensor([10])])).toEqual([17, 26]);
    expect(run('reduce_sum', [x], { axes: [0] })).toEqual([5, 7, 9]);
    expect(run('reduce_max', [x], { axes: [0, 1] })).toEqual([6]);
    close(run('softmax', [tensor([1000, 1000 + Math.log(3)])]), [0.25, 0.75]);
    close(run('layer_norm', [tensor([1, 3])], { eps: 0 }), [-1, 1]);
  });
});
