/** Products for the family of tiles in vectors: every layout of the operands, edges that are no whole vectors, all that is fused. */
import type { Graph, Node } from '../../compiler/ir/index.ts';
import type { Functional } from '../../compiler/ops/index.ts';
import { graphOf, type Input } from './build-graph.ts';

/** A matrix of a batch, or its transpose looked at so. */
function operand(f: Functional, input: Input, name: string, shape: readonly number[], isTransposed: boolean): Node {
  const [rows, columns] = shape.slice(-2);
  if (!isTransposed) return input(name, shape);
  return f.transpose(input(name, [...shape.slice(0, -2), columns, rows]));
}

const SIZES = [
  ['whole tiles', [], 64, 64, 16],
  ['whole vectors', [], 68, 132, 20],
  ['parts of vectors', [2], 65, 70, 13],
  ['one step of k', [], 64, 65, 1],
  ['three steps of k', [], 257, 68, 3],
  ['narrow tiles', [], 129, 36, 19],
  ['flat tiles', [2], 33, 130, 12],
] as const;

const LAYOUTS = [
  ['x·Wᵀ', false, true],
  ['d·W', false, false],
  ['dᵀ·x', true, false],
  ['dᵀ·Wᵀ', true, true],
] as const;

export const VECTOR_PRODUCTS: readonly (readonly [name: string, graph: Graph])[] = [
  ...SIZES.flatMap(([size, batch, m, n, k]) =>
    LAYOUTS.map(
      ([layout, left, right]) =>
        [
          `${layout} of ${size}`,
          graphOf((f, input) => {
            const x = operand(f, input, 'x', [...batch, m, k], left);
            const y = operand(f, input, 'y', [...batch, k, n], right);
            const bent = f.op('silu', [f.add(f.matmul(x, y), input('bias', [n]))]);
            return [f.add(bent, input('residual', [...batch, m, n]))];
          }),
        ] as const,
    ),
  ),
  [
    'rows that are normalised, and read by others',
    graphOf((f, input) => {
      const x = input('x', [70, 36]);
      const centred = f.sub(x, f.mean(x, [1]));
      const rows = f.mul(centred, f.rsqrt(f.add(f.mean(f.square(centred), [1]), 1e-3)));
      return [f.matmul(rows, f.transpose(input('w', [72, 36]))), rows];
    }),
  ],
  [
    'rows of dᵀ summed up beside the product',
    graphOf((f, input) => {
      const d = input('d', [20, 76]);
      return [f.matmul(f.transpose(d), input('x', [20, 66])), f.sum(d, [0])];
    }),
  ],
  [
    'rows of x summed up beside the product',
    graphOf((f, input) => {
      const x = input('x', [76, 20]);
      return [f.matmul(x, input('y', [20, 66])), f.sum(x, [1])];
    }),
  ],
  [
    'operands joined along k',
    graphOf((f, input) => {
      const x = f.concat([input('a', [66, 12]), input('b', [66, 21])], 1);
      return [f.matmul(x, input('y', [33, 64]))];
    }),
  ],
  [
    'heads split off as they are stored',
    graphOf((f, input) => {
      const product = f.matmul(input('x', [66, 20]), f.transpose(input('w', [96, 20])));
      const heads = f.permute(f.reshape(product, [66, 3, 4, 8]), [1, 2, 0, 3]);
      return [heads];
    }),
  ],
  [
    'stored transposed, where no four lies side by side',
    graphOf((f, input) => [f.exp(f.transpose(f.matmul(input('x', [66, 20]), input('w', [20, 68]))))]),
  ],
];
