/** Convolutions, and their transposes, of one axis or two. */
import { conv2d, convTranspose2d, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';
import { asPicture, axesOf, span, twoAxes, type Axis } from './planes.ts';

const pair = (axes: readonly Axis[], of: (axis: Axis) => number) => axes.map(of) as [number, number];
const both = (axes: readonly Axis[]) => ({
  stride: pair(axes, ({ stride }) => stride),
  dilation: pair(axes, ({ dilation }) => dilation),
});

function operands(call: Call): { x: Tensor; weight: Tensor; bias?: Tensor; plane: number[]; kernel: number[] } {
  const [x, weight, bias] = [call.tensor(0), call.tensor(1), call.optional(2)];
  if (weight.rank !== x.rank) throw call.damaged('weight and operand differ in axes', `${weight.rank} and ${x.rank}`);
  const kernel = weight.shape.slice(2);
  const told = call.ints('kernel_shape', kernel.length) ?? kernel;
  if (told.some((n, i) => n !== kernel[i])) throw call.damaged(`kernel_shape is ${told}`, `the weight is of ${kernel}`);
  return { x, weight, bias, plane: x.shape.slice(2), kernel };
}

function conv(call: Call): Tensor {
  const { x, weight, bias, plane, kernel } = operands(call);
  return asPicture(call, x, (picture, isLine) => {
    const axes = twoAxes(axesOf(call, plane, kernel));
    const padding = axes.map(({ before, after }) => [before, after] as const) as unknown as [
      [number, number],
      [number, number],
    ];
    const window = isLine ? weight.unsqueeze(2) : weight;
    return conv2d(picture, window, bias, { ...both(axes), padding, groups: call.int('group', 1) });
  });
}

function convTranspose(call: Call): Tensor {
  const { x, weight, bias, plane, kernel } = operands(call);
  return asPicture(call, x, (picture, isLine) => {
    const axes = twoAxes(axesOf(call, plane, kernel));
    const cuts = cutsOf(call, axes, isLine);
    const window = isLine ? weight.unsqueeze(2) : weight;
    const padding = pair(axes, (axis) => Math.min(...cuts[axes.indexOf(axis)].rim));
    const outputPadding = pair(axes, (axis) => cuts[axes.indexOf(axis)].more);
    const groups = call.int('group', 1);
    const whole = convTranspose2d(picture, window, bias, { ...both(axes), padding, outputPadding, groups });
    return cuts.reduce((y, { rim: [before, after] }, i) => {
      const least = Math.min(before, after);
      return y.slice(2 + i, before - least, y.shape[2 + i] - (after - least));
    }, whole);
  });
}

/** What is cut off before and after each axis of the whole, and how many elements are added behind it. */
function cutsOf(call: Call, axes: readonly Axis[], isLine: boolean): { rim: [number, number]; more: number }[] {
  const given = (name: string) => {
    const found = call.ints(name, isLine ? 1 : 2);
    return found && isLine ? [undefined, ...found] : found;
  };
  const [added, wanted] = [given('output_padding'), given('output_shape')];
  return axes.map((axis, i) => {
    const more = added?.[i] ?? 0;
    const out = wanted?.[i] ?? sameSize(call, axis);
    if (out === undefined) return { rim: [axis.before, axis.after], more };
    const total = (axis.size - 1) * axis.stride + more + span(axis) - out;
    if (total < 0) return { rim: [0, 0], more: more - total };
    const less = Math.floor(total / 2);
    return { rim: call.text('auto_pad') === 'SAME_UPPER' ? [less, total - less] : [total - less, less], more };
  });
}

const sameSize = (call: Call, { size, stride }: Axis): number | undefined =>
  /^SAME/.test(call.text('auto_pad', '')) ? size * stride : undefined;

export const convolution: Ops = { Conv: conv, ConvTranspose: convTranspose };
