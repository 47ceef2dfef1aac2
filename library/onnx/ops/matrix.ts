/** Products of matrices. */
import type { Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

/** A vector is a row on the left and a column on the right. */
function matMul(call: Call): Tensor {
  const [x, y] = [call.tensor(0), call.tensor(1)];
  const product = (x.rank === 1 ? x.unsqueeze(0) : x).matmul(y.rank === 1 ? y.unsqueeze(1) : y);
  const columns = y.rank === 1 ? product.squeeze(-1) : product;
  return x.rank === 1 ? columns.squeeze(y.rank === 1 ? -1 : -2) : columns;
}

/** αA·B + βC, each of A and B turned if told. */
function gemm(call: Call): Tensor {
  const [a, b, c] = [call.tensor(0), call.tensor(1), call.optional(2)];
  const [alpha, beta] = [call.float('alpha', 1), call.float('beta', 1)];
  if (a.rank !== 2 || b.rank !== 2) throw call.damaged('it multiplies matrices', `of ${a.rank} and ${b.rank} axes`);
  const turned = (x: Tensor, name: string) => (call.int(name, 0) ? x.transpose() : x);
  const scaled = (x: Tensor, by: number) => (by === 1 ? x : x.mul(by));
  const product = scaled(turned(a, 'transA').matmul(turned(b, 'transB')), alpha);
  return c && beta !== 0 ? product.add(scaled(c, beta)) : product;
}

export const matrix: Ops = { MatMul: matMul, Gemm: gemm };
