/** What ops say of operands they cannot take: the op, the rule, the shapes, and often the fix. */
import { describe, expect, it } from 'vitest';
import { DitcError, type Attrs, type DType, type TensorType } from '../../../compiler/ir/index.ts';
import { allOps, opDef } from '../../../compiler/ops/index.ts';

const t = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape });
const f = (...shape: number[]) => t('f32', ...shape);

const CASES: [string, TensorType[], Attrs, string][] = [
  ['matmul', [f(2, 3), f(4, 5)], {}, 'matmul: inner sizes differ: x is [2,3], y is [4,5]: 3 ≠ 4; transpose one, or check the sizes'],
  ['matmul', [f(3), f(3, 4)], {}, 'matmul: takes matrices: x is [3], y is [3,4]; unsqueeze vectors'],
  ['matmul', [f(2, 3, 4), f(5, 4, 3)], {}, 'matmul: batch axes do not broadcast: x is [2,3,4], y is [5,4,3]; unsqueeze or reshape one of them'],
  ['matmul', [t('i32', 2, 2), t('i32', 2, 2)], {}, 'matmul: takes floating-point operands: got i32[2,2]; cast it to f32 first'],
  ['matmul', [f(2, 2), t('f16', 2, 2)], {}, 'matmul: operands have different dtypes: f32[2,2] and f16[2,2]; cast one of them'],
  ['linear', [f(2, 3), f(5, 4)], {}, 'linear: inner sizes differ: x is [2,3], weight is [5,4]; x is […, k], weight [n, k], bias [n]'],
  ['linear', [f(2, 3), f(5, 3), f(4)], {}, 'linear: bias does not fit: weight is [5,3], bias is [4]; x is […, k], weight [n, k], bias [n]'],
  ['linear', [f(2, 3)], {}, 'linear: takes x, weight and maybe bias: got 1'],
  ['attention_stats', [f(2, 3), f(4, 5)], { scale: 1 }, 'attention_stats: takes q, k, maybe a bias, maybe a mask: attention: queries and keys differ in length'],
  ...['attention_dq', 'attention_dk', 'attention_dv'].map((op): (typeof CASES)[number] => [op, [f(2, 3), f(4, 3), f(4, 5), f(2, 3), f(2, 5), f(2, 1)], { scale: 1 }, `${op}: dy does not fit: it is [2,3], not [2,5]`]),
  ['attention', [f(2, 3), f(4, 5), f(4, 3)], { scale: 1 }, 'attention: queries and keys differ in length: q is [2,3], k is [4,5], v is [4,3]'],
  ['add', [f(2, 3), f(2)], {}, 'add: shapes do not broadcast: [2,3] and [2]; unsqueeze or reshape one of them'],
  ['add', [f(2), t('i32', 2)], {}, 'add: operands have different dtypes: f32[2] and i32[2]; cast one of them'],
  ['rem', [f(2), f(2)], {}, "rem: does not take f32: it takes i32, u32; cast it to 'i32' first"],
  ['and', [t('u32', 2), t('u32', 2)], {}, 'and: does not take u32: it takes bool; compare it with something'],
  ['bit_xor', [t('i32', 2), t('i32', 2)], {}, "bit_xor: does not take i32: it takes u32; cast it to 'u32' first"],
  ['exp', [t('u32', 2)], {}, 'exp: takes floating-point operands: got u32[2]; cast it to f32 first'],
  ['select', [f(2), f(2), f(2)], {}, 'select: the condition is a bool tensor: got f32; compare it with something'],
  ['cast', [f(2)], { dtype: 'f64' }, 'cast: unknown dtype f64: use one of f32, f16, i32, u32, bool'],
  ['reshape', [f(2, 3)], { shape: [4, 2] }, 'reshape: element counts differ: [2,3] has 6, [4,2] has 8; check the sizes; one of them may be −1'],
  ['reshape', [f(5)], { shape: [2.5, 2] }, 'reshape: sizes are whole numbers of at least 1: got [2.5,2]; check the sizes'],
  ['permute', [f(2, 3)], { perm: [0, 0] }, 'permute: not a permutation of 2 axes: [0,0]; name each axis from 0 to 1 once'],
  ['broadcast', [f(2, 3)], { shape: [2, 4] }, 'broadcast: [2,3] does not broadcast to [2,4]: only axes of size 1 are repeated, and new ones come first; unsqueeze or reshape it, or check the sizes'],
  ['broadcast', [f(1)], { shape: [0] }, 'broadcast: [1] does not broadcast to [0]: only axes of size 1 are repeated, and new ones come first; unsqueeze or reshape it, or check the sizes'],
  ['slice', [f(4)], { start: [2], size: [3], step: [1] }, 'slice: axis 0 of [4] has no elements 2 + 3·1'],
  ['unfold', [f(4)], { axis: 1, size: 2, step: 1, dilation: 1 }, 'unfold: no axis 1 in [4]'],
  ['unfold', [f(4)], { axis: 0, size: 0, step: 1, dilation: 1 }, 'unfold: size, step and dilation are whole numbers of at least 1: size 0, step 1, dilation 1'],
  ['unfold', [f(4)], { axis: 0, size: 3, step: 1, dilation: 2 }, 'unfold: no window fits: axis 0 of [4] is shorter than 5; pad it, or use a smaller window'],
  ['slice', [f(4)], { start: [0.5], size: [1], step: [1] }, 'slice: start, size and step are whole numbers, size and step at least 1: start [0.5], size [1], step [1]'],
  ['slice', [f(4)], { start: [3], size: [0], step: [1] }, 'slice: start, size and step are whole numbers, size and step at least 1: start [3], size [0], step [1]'],
  ['slice', [f(4, 4)], { start: [0], size: [1], step: [1] }, 'slice: start, size and step need 2 entries each for [4,4]'],
  ['concat', [f(2, 3), f(3, 3)], { axis: 1 }, 'concat: operands differ outside axis 1: f32[2,3], f32[3,3]; reshape or slice them, or join them along another axis'],
  ['concat', [f(2), f(2)], { axis: 1 }, 'concat: no axis 1 in [2]'],
  ['concat', [], { axis: 0 }, 'concat: takes at least one operand'],
  ['pad', [f(2)], { low: [-1], high: [0], value: 0 }, 'pad: low and high need 1 sizes of at least 0: x is [2]; give one number for each axis'],
  ['gather', [f(4, 2), f(3)], {}, "gather: indices are i32 or u32: got f32[3]; cast them to 'i32'"],
  ['gather', [f(), t('i32', 3)], {}, 'gather: the table needs at least one axis; unsqueeze it'],
  ['take_along', [f(4, 2), f(3, 2)], { axis: 0 }, "take_along: indices are i32 or u32: got f32[3,2]; cast them to 'i32'"],
  ['take_along', [f(4, 2), t('i32', 3)], { axis: 0 }, 'take_along: values and indices have as many axes: [4,2] and [3]; unsqueeze one of them'],
  ['take_along', [f(4, 2), t('i32', 3, 3)], { axis: 0 }, 'take_along: shapes do not broadcast: [1,2] and [1,3]; unsqueeze or reshape one of them'],
  ['take_along', [f(4), t('i32', 3)], { axis: 1 }, 'take_along: no axis 1 in [4]'],
  ['scatter_add', [t('i32', 3), f(4)], { axis: 0, size: 2 }, 'scatter_add: shapes do not broadcast: [3] and [4]; unsqueeze or reshape one of them'],
  ['scatter_add', [t('i32', 3), f(3)], { axis: 0, size: 0 }, 'scatter_add: size is a whole number of at least 1: got 0'],
  ['scatter_add', [t('i32', 3), t('bool', 3)], { axis: 0, size: 2 }, "scatter_add: does not add bool; cast it to 'i32'"],
  ['scan', [f(2, 3)], { axis: 2 }, 'scan: no axis 2 in [2,3]'],
  ['scan', [f(2, 3), f(2, 4)], { axis: 1 }, 'scan: shapes do not broadcast: [2,3] and [2,4]; unsqueeze or reshape one of them'],
  ['scan', [f(1, 3), f(2, 3)], { axis: 1 }, 'scan: the factors do not broadcast to x: f32[1,3] and f32[2,3]; broadcast x, or unsqueeze them'],
  ['scan', [t('bool', 3)], { axis: 0 }, "scan: does not take bool; cast it to 'i32' first"],
  ['loop', [f(2)], { body: 1 }, 'loop: its attribute body is no graph'],
  ['write_slice', [f(2, 3), t('i32'), f(2, 4)], { axis: 0 }, 'write_slice: the value is no part of x: f32[2,3] and f32[2,4]'],
  ['write_slice', [f(3, 3), t('i32'), f(2, 3)], { axis: 0 }, 'write_slice: the value is no part of x: f32[3,3] and f32[2,3]'],
  ['write_slice', [f(1, 3), f(), f(2, 3)], { axis: 0 }, "write_slice: start is i32: got f32[]; cast it to 'i32'"],
  ['write_slice', [f(1, 3), t('i32', 2, 1), f(2, 3)], { axis: 0 }, 'write_slice: start does not broadcast to the lines of x: i32[2,1]'],
  ['flip', [f(2, 3)], { axes: [1, 0] }, 'flip: axes [1,0] are not axes of [2,3] in order'],
  ['reduce_min', [t('bool', 2)], { axes: [0] }, "reduce_min: does not take bool: got bool[2]; cast it to 'u32' first; the largest of those says whether any holds"],
  ['reduce_sum', [f(2, 3)], { axes: [2] }, 'reduce_sum: axes [2] are not axes of [2,3]'],
  ['reduce_sum', [f(2, 3)], { axes: [] }, 'reduce_sum: axes [] are not axes of [2,3]'],
  ['reduce_max', [f(2, 3)], { axes: [1, 0] }, 'reduce_max: axes [1,0] do not ascend'],
  ['softmax', [f()], {}, 'softmax: takes a tensor of at least one axis; unsqueeze it'],
  ['gradient', [f(2), f(3)], {}, 'gradient: the loss is not a scalar: it is f32[2]; reduce it with mean() or sum()'],
  ['layer_norm', [f(3)], {}, 'layer_norm: eps is a number of at least 0'],
  ['philox', [f(), f(), f(), f(), f()], { lane: 0 }, 'philox: keys and counters are u32'],
  ['philox', Array.from({ length: 5 }, () => t('u32')), { lane: 4 }, 'philox: lane is 0, 1, 2 or 3: got 4'],
  ['iota', [], { dtype: 'u32', shape: [3], axis: 1 }, 'iota: no axis 1 in [3]'],
  ['input', [], { name: 'x', dtype: 'f32', shape: [0] }, 'input: sizes are whole numbers of at least 1: got [0]; check the model configuration'],
  ['param', [], { name: 'w', dtype: 'f8', shape: [1] }, 'param: unknown dtype f8'],
  ['constant', [], { dtype: 'f32', shape: [2], data: Float64Array.of(1) }, 'constant: data does not fill the shape: 1 elements for [2]'],
  ['constant', [], { dtype: 'i32', shape: [2], value: 0.5 }, "constant: a value must be a whole number from -2147483648 to 2147483647, as i32 holds: got 0.5; give such a number, or cast to 'f32' first"],
  ['constant', [], { dtype: 'f32', shape: [2], value: 'NaN' }, 'constant: has a value that is a number, or data: got NaN'],
  ['clamp', [f(2)], { lo: NaN, hi: 1 }, 'clamp: lo and hi are numbers: got NaN'],
  ['clamp', [{ dtype: 'i32', shape: [2] }], { lo: 0, hi: 1.5 }, 'clamp: lo and hi are values of i32: got 0 and 1.5'],
]; // prettier-ignore

describe('op errors', () => {
  it.each(CASES)('%s %#', (name, inputs, attrs, message) => {
    let error: unknown;
    try {
      opDef(name).type(inputs, attrs);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(DitcError);
    expect((error as DitcError).message).toBe(message);
  });

  it('name an unknown op', () => {
    expect(() => opDef('matmull')).toThrow('unknown op matmull; see docs/ops.md for the list');
  });

  it('cover every op that can refuse a shape', () => {
    const covered = new Set(CASES.map(([name]) => name));
    const kinds = allOps().filter((def) => !['pointwise', 'leaf'].includes(def.kind));
    expect(kinds.map((def) => def.name).filter((name) => !covered.has(name))).toEqual([]);
  });
});
