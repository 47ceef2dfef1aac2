/** Arguments of the right kind that do not fit the tensor: an error at the user's line, by the name that the user wrote, with a fix. */
import { describe, expect, it } from 'vitest';
import * as dsl from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { errorOf } from '../frontend/scratch.ts';
import { flaw, run, told, type Given } from './calls.ts';

describe('what fits each argument but not the tensor', () => {
  const refused: [string, (given: Given) => unknown, RegExp][] = [
    [
      'unsqueeze(3) of rank 2',
      ({ x }) => x.unsqueeze(3),
      /^unsqueeze: there is no axis 3: in the result, of rank 3; give/,
    ],
    ['unsqueeze(−4) of rank 2', ({ x }) => x.unsqueeze(-4), /^unsqueeze: there is no axis -4/],
    ['squeeze(0) of size 2', ({ x }) => x.squeeze(0), /^squeeze: the axis is not of size 1/],
    ['transpose(0, 2)', ({ x }) => x.transpose(0, 2), /^transpose: there is no axis 2: in \[2,3\]/],
    ['permute(0, 0)', ({ x }) => x.permute(0, 0), /^permute: not a permutation/],
    ['permute(0)', ({ x }) => x.permute(0), /^permute: not a permutation/],
    [
      'slice(1, 3)',
      ({ x }) => x.slice(1, 3),
      /^slice: there are no such elements: axis 1 of \[2,3\], from 3 to its end/,
    ],
    ['slice(1, 2, 1)', ({ x }) => x.slice(1, 2, 1), /^slice: there are no such elements/],
    ['slice(1, −4)', ({ x }) => x.slice(1, -4), /^slice: there are no such elements/],
    ['split(2) of 3', ({ x }) => x.split(2), /^split: pieces are not equal/],
    ['unstack(2)', ({ x }) => x.unstack(2), /^unstack: there is no axis 2/],
    ['unfold of 4', ({ x }) => x.unfold(1, 4), /^unfold: no window fits/],
    ['reshape(4, 2)', ({ x }) => x.reshape(4, 2), /^reshape: element counts differ/],
    ['reshape(−1, −1)', ({ x }) => x.reshape(-1, -1), /^reshape: only one size may be −1/],
    ['reshape(−1, 4)', ({ x }) => x.reshape(-1, 4), /^reshape: no size makes \[-1,4\] fit/],
    ['reshape(−1, 0)', ({ x }) => x.reshape(-1, 0), /^reshape: /],
    ['broadcastTo(2)', ({ x }) => x.broadcastTo(2), /^broadcastTo: \[2,3\] does not broadcast to \[2\]/],
    ['concat along 2', ({ x }) => dsl.concat([x, x], 2), /^concat: there is no axis 2/],
    ['concat of two ranks', ({ x, one }) => dsl.concat([x, one], 0), /^concat: operands differ outside axis 0/],
    ['stack along 4', ({ x }) => dsl.stack([x, x], 4), /^stack: there is no axis 4/],
    ['stack of two shapes', ({ x, w }) => dsl.stack([x, w]), /^stack: the tensors have different shapes/],
    [
      'split in 2 and 2 of 3',
      ({ x }) => x.split([2, 2]),
      /^split: sizes do not add up: axis 1 of \[2,3\] in pieces of 2, 2/,
    ],
    [
      'scan over different numbers of turns',
      ({ x, one }) => dsl.scan((h) => [h], x, { x, row: one.reshape(3, 2) }),
      /^scan: xs differ in their first axis: \[2,3\] and \[3,2\]; give/,
    ],
    ['scan over nothing', ({ x }) => dsl.scan((h) => [h], x, []), /^scan: xs holds no tensor/],
    [
      'a scan that carries another type on',
      ({ x }) => dsl.scan((h) => [h.sum(1)], x, x),
      /^scan: a turn changes the type of carry, which it carries: it is f32\[2,3\] before, and f32\[2\] after; reshape/,
    ],
    [
      'a scan that forgets what it carries',
      ({ x }) => dsl.scan((() => ({ y: x })) as never, { h: x }, x),
      /^scan: the step does not return what it carries: it carries { h }, and the step gives an object; return/,
    ],
    ['a step that multiplies what does not fit', ({ x }) => dsl.scan((h, row) => [h.matmul(row)], x, x), /^matmul: /],
    [
      'a parameter that is adapted by what does not fit',
      ({ e, p, x }) => (e.adapt((_, value) => value.matmul(x)), p.param('v', [4, 4])),
      /^matmul: inner sizes differ/,
    ],
    [
      'an update in a loop',
      ({ e, x, n }) => dsl.foriLoop(2, (h) => (e.update(n, n.add(1)), h), x),
      /^update: n is updated in the body of a loop; carry/,
    ],
    ['sum of bool', ({ b }) => b.sum(), /^sum: takes numbers: x is bool; use any\(\) or all\(\)/],
    ['mean of i32', ({ i }) => i.mean(), /^mean: only floating-point tensors have one/],
    ['any of f32', ({ x }) => x.any(), /^any: takes bool: x is f32; compare it/],
    ['neg of u32', ({ u }) => u.neg(), /^neg: takes floating-point operands/],
    ['take by f32', ({ x }) => dsl.take(x, x), /^take: indices are i32 or u32/],
    [
      'takeAlong of two ranks',
      ({ x, i }) => dsl.takeAlong(x, i.max(0)),
      /^takeAlong: values and indices have as many axes/,
    ],
    [
      'scatterAdd of more',
      ({ one, i, x }) =>
        dsl.scatterAdd(one.sum(1), i, x.slice(0, 0, 1), 1).add(dsl.scatterAdd(x.slice(0, 0, 1), i, x, 1)),
      /^scatterAdd: the updates are of more than x/,
    ],
    [
      'setSlice of a wider value',
      ({ x, w }) => dsl.setSlice(x, 1, 0, w),
      /^setSlice: the value is no part of x: x is f32\[2,3\]/,
    ],
    ['setSlice of another dtype', ({ x, i }) => dsl.setSlice(x, 1, 0, i), /^setSlice: the value is no part of x/],
    [
      'setSlice past the end',
      ({ x }) => dsl.setSlice(x, 1, 2, x.slice(1, 0, 2)),
      /^setSlice: x has no such elements: axis 1 of \[2,3\], 2 from 2 on; start at 1/,
    ],
    ['setSlice at a float', ({ x }) => dsl.setSlice(x, 1, x.sum(), x.slice(1, 0, 1)), /^setSlice: start must be/],
    ['topK(4) of 3', ({ x }) => dsl.topK(x, 4), /^topK: there are not so many: k is 4/],
    ['crossEntropy of other rows', ({ x, i }) => dsl.crossEntropy(x, i), /^crossEntropy: there is not one label a row/],
    ['groupNorm of 2 in 3', ({ x }) => dsl.groupNorm(x, 2), /^groupNorm: the channels are no such groups/],
    ['conv2d of rank 2', ({ x, w }) => dsl.conv2d(x, w), /^conv2d: x and weight have four axes/],
    [
      'conv2d of other channels',
      ({ e, p }) => dsl.conv2d(e.input('pic', [1, 3, 4, 4]), p.param('kernel', [2, 2, 3, 3])),
      /^conv2d: the channels of x are not those of the weight/,
    ],
    [
      'conv2d of a small picture',
      ({ e, p }) => dsl.conv2d(e.input('pic', [1, 2, 2, 4]), p.param('kernel', [2, 2, 3, 3])),
      /^conv2d: no window fits/,
    ],
    [
      'conv2d of odd groups',
      ({ e, p }) => dsl.conv2d(e.input('pic', [1, 4, 4, 4]), p.param('kernel', [3, 2, 3, 3]), undefined, { groups: 2 }),
      /^conv2d: the channels are no such groups/,
    ],
    [
      'convTranspose2d of nothing',
      ({ e, p }) =>
        dsl.convTranspose2d(e.input('pic', [1, 2, 1, 4]), p.param('kernel', [2, 2, 3, 3]), undefined, { padding: 2 }),
      /^convTranspose2d: nothing is left/,
    ],
    ['resize of rank 2', ({ x }) => dsl.resize(x, [2, 2]), /^resize: x is no pictures/],
    ['rotary of other angles', ({ x }) => dsl.rotary(x, x), /^rotary: there is not an angle for each two elements/],
    ['recurrence of more factors', ({ one, x }) => dsl.recurrence(one, x), /^recurrence: a does not broadcast to x/],
    ['sum([0, −2])', ({ x }) => x.sum([0, -2]), /^sum: an axis is given twice/],
    ['iota([], 0)', () => dsl.iota([], 0), /^iota: there is no axis 0/],
    ['exp of i32', ({ i }) => i.exp(), /^exp: takes floating-point/],
    ['and of f32', ({ x }) => x.and(x), /^and: /],
    ['gather by f32', ({ x }) => x.gather(x), /^gather: indices are i32 or u32/],
    ['where f32', ({ x }) => dsl.where(x, 1, 0), /^where: the condition is a bool tensor/],
    ['matmul of 3 and 4', ({ x, w }) => x.matmul(w), /^matmul: /],
    ['clamp(1, 0)', ({ x }) => x.clamp(1, 0), /^clamp: lo must be at most hi/],
    ['gradients of a vector', ({ w }) => dsl.gradients(w, [w]), /^gradients: the loss is not a scalar/],
    ['gradients of a value', ({ w }) => dsl.gradients(w.sum(), [w.neg()]), /^gradients: xs must be parameters/],
    ['update of an input', ({ e, x }) => e.update(x, x), /^update: the target is not state/],
    ['update with another type', ({ e, n, x }) => e.update(n, x), /^update: n is i32\[2,3\], its new value is f32/],
    ['two updates', ({ e, n }) => [e.update(n, n.add(1)), e.update(n, n.add(2))], /^update: n is updated twice/],
    ['linear of a scalar', ({ p, x }) => p.linear('l', x.sum(), 2), /^linear: x has no axis/],
    ['a method by itself', ({ x }) => [x].map((y) => y.add)[0](x), /^add: it was taken from its tensor/],
  ];
  it.each(refused)('%s', (_, attempt, message) => {
    expect(told(() => run(attempt))).toMatch(message);
    expect(flaw(/\w+/.exec(message.source)![0], () => run(attempt))).toBeUndefined();
  });

  it('and negative axes count from the end, everywhere', () => {
    const shapes = run(({ x, one }) =>
      [
        x.unsqueeze(-1),
        x.unsqueeze(-3),
        one.squeeze(-2),
        x.permute(-1, 0),
        x.transpose(-1, -2),
        x.slice(-1, -2),
        x.split(3, -1)[0],
        x.unstack(-1)[0],
        x.unfold(-2, 1),
        x.sum(-1),
        x.sum([-1, 0]),
        dsl.concat([x, x], -2),
        dsl.stack([x, x], -1),
        dsl.iota([2, 3], -1),
      ].map((y) => y.shape.join('×')),
    );
    expect(shapes).toEqual([
      '2×3×1',
      '1×2×3',
      '2×3',
      '3×2',
      '3×2',
      '2×2',
      '2×1',
      '2',
      '2×3×1',
      '2',
      '',
      '4×3',
      '2×3×2',
      '2×3',
    ]);
  });
});

it('a value of a loop’s body is refused outside of it, by its name', () => {
  const forward = (e: dsl.Entry) => {
    const x = e.input('x', [2, 3]);
    let inner = x;
    const last = dsl.foriLoop(3, (h) => (inner = h.mul(2)).add(1), x);
    return { last, leaked: inner.exp() };
  };
  const model = dsl.defineModel({ config: {}, entries: { forward } });
  expect(errorOf(() => traceEntry(model, 'forward', { batch: 1 }))).toMatchObject({
    code: 'loop',
    what: expect.stringMatching(/differs from turn to turn of a loop, and is used outside of it/),
    fix: 'return it from the step: carried, or stacked',
  });
});
