/** Windows over pictures, as convolutions and pooling are told of them: one axis, or two. */
import type { Call } from '../call.ts';
import type { Tensor } from '../../../compiler/dsl/index.ts';

export interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
}

/** Elements that a window reaches over. */
export const span = ({ kernel, dilation }: Pick<Axis, 'kernel' | 'dilation'>): number => (kernel - 1) * dilation + 1;

/** How the windows of a kernel lie on the axes after the channels. */
export function axesOf(call: Call, plane: readonly number[], kernel: readonly number[]): Axis[] {
  const list = (name: string) => call.ints(name, plane.length) ?? plane.map(() => 1);
  const [strides, dilations] = [list('strides'), list('dilations')];
  const wrong = [...kernel, ...strides, ...dilations].find((n) => !Number.isSafeInteger(n) || n < 1);
  if (wrong !== undefined) throw call.damaged('kernel, strides and dilations are at least 1', `one is ${wrong}`);
  const pads = call.ints('pads', 2 * plane.length) ?? [];
  const auto = call.text('auto_pad', 'NOTSET');
  return plane.map((size, i) => {
    const own = { size, kernel: kernel[i], stride: strides[i], dilation: dilations[i] };
    const [before, after] =
      auto === 'NOTSET' ? [pads[i] ?? 0, pads[i + plane.length] ?? 0] : automatic(call, auto, own);
    call.table(Math.max(before, after, span(own)));
    return { ...own, before, after };
  });
}

/** As many zeros as give ⌈size/stride⌉ windows; the odd one goes where the name says. */
function automatic(call: Call, auto: string, axis: Omit<Axis, 'before' | 'after'>): [number, number] {
  if (auto === 'VALID') return [0, 0];
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') throw call.damaged(`auto_pad is ${auto}`);
  const { size, stride } = axis;
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + span(axis) - size);
  const less = Math.floor(total / 2);
  return auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
}

/** Runs what is for pictures [N,C,H,W] on x [N,C,W] too. */
export function asPicture(call: Call, x: Tensor, of: (picture: Tensor, isLine: boolean) => Tensor): Tensor {
  if (x.rank === 4) return of(x, false);
  if (x.rank === 3) return of(x.unsqueeze(2), true).squeeze(2);
  const why = `the operand has ${x.rank} axes`;
  throw call.fail('it is read for one axis or two after the channels', why, 'write it by other ops');
}

/** The axes of a picture: those of a line lie across. */
export const twoAxes = (axes: readonly Axis[]): Axis[] =>
  axes.length === 1 ? [{ size: 1, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0 }, axes[0]] : [...axes];
