/** Convolutions for matrix units, and their gradients: windows of every kind, pictures that fill no tile. */
import { gradients } from '../../compiler/autodiff/index.ts';
import type { Graph, Node } from '../../compiler/ir/index.ts';
import type { Functional } from '../../compiler/ops/index.ts';
import { graphOf } from './build-graph.ts';

export interface Convolution {
  readonly name: string;
  readonly x: readonly [batch: number, channels: number, height: number, width: number];
  readonly out: number;
  readonly kernel?: readonly [number, number];
  readonly step?: number;
  readonly dilation?: number;
  /** Rows before and after, columns before and after. */
  readonly rim?: readonly [number, number, number, number];
  /** Each element of x as a square of so many by so many. */
  readonly enlarged?: number;
}

export const CONVOLUTIONS: readonly Convolution[] = [
  { name: '3×3', x: [2, 16, 8, 12], out: 32 },
  { name: '3×3 of places that are no multiple of a tile', x: [1, 24, 7, 9], out: 72 },
  { name: '3×3 in steps of 2, a rim on one side', x: [2, 32, 12, 12], out: 64, step: 2, rim: [0, 1, 0, 1] },
  { name: '5×3 without a rim', x: [1, 8, 12, 10], out: 32, kernel: [5, 3], rim: [0, 0, 0, 0] },
  { name: '3×3 of elements two apart', x: [1, 16, 8, 8], out: 32, dilation: 2, rim: [2, 2, 2, 2] },
  { name: '3×3 of an enlarged picture', x: [1, 16, 4, 6], out: 32, enlarged: 2 },
];

function enlarged(f: Functional, x: Node, times: number): Node {
  const [n, c, h, w] = x.type.shape;
  const wide = f.broadcast(f.reshape(x, [n, c, h, 1, w, 1]), [n, c, h, times, w, times]);
  return f.reshape(wide, [n, c, h * times, w * times]);
}

function convolved(f: Functional, picture: Node, weight: Node, options: Convolution): Node {
  const { step = 1, dilation = 1, rim = [1, 1, 1, 1] } = options;
  const [out, channels, h, w] = weight.type.shape;
  const x = options.enlarged ? enlarged(f, picture, options.enlarged) : picture;
  const padded = f.pad(x, [0, 0, rim[0], rim[2]], [0, 0, rim[1], rim[3]]);
  const seen = f.unfold(f.unfold(padded, 2, h, step, dilation), 3, w, step, dilation);
  const [n, , height, width] = seen.type.shape;
  const columns = f.reshape(f.permute(seen, [0, 1, 4, 5, 2, 3]), [n, channels * h * w, height * width]);
  return f.reshape(f.matmul(f.reshape(weight, [out, channels * h * w]), columns), [n, out, height, width]);
}

const weightShape = ({ x, out, kernel = [3, 3] }: Convolution) => [out, x[1], ...kernel];

/** x is computed, as it is in models: a kernel that writes it may as well write it in another order. */
export const forward = (options: Convolution): Graph =>
  graphOf((f, input) => {
    const x = f.neg(input('x', options.x));
    return [f.neg(convolved(f, x, input('w', weightShape(options)), options))];
  });

/** The convolution's, and those of Σ y·g by both operands. */
export const backward = (options: Convolution): Graph =>
  graphOf((f, input) => {
    const [x, weight] = [f.neg(input('x', options.x)), input('w', weightShape(options))];
    const y = convolved(f, x, weight, options);
    const loss = f.sum(f.mul(y, input('g', y.type.shape)), [0, 1, 2, 3]);
    return [y, ...gradients(f, f.reshape(loss, []), [x, weight])];
  });
