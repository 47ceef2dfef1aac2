/** Attention and its derivatives whose sizes divide nothing, where the last element of an operand is infinite: what is padded must not show. */
import { gradients } from '../../compiler/autodiff/index.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import type { Bindings } from '../../compiler/ops/index.ts';
import { graphOf } from './build-graph.ts';

const SHAPES = { q: [2, 21, 6], k: [2, 19, 6], v: [2, 19, 5], dy: [2, 21, 5] };

export const OPERANDS = Object.keys(SHAPES) as (keyof typeof SHAPES)[];

export const attentionWithDerivatives = graphOf((f, input) => {
  const [q, k, v, dy] = OPERANDS.map((name) => input(name, SHAPES[name]));
  const out = f.op('attention', [q, k, v], { scale: 0.35 });
  return [out, ...gradients(f, f.sum(f.mul(out, dy), [0, 1, 2]), [q, k, v])];
});

export function infiniteAtTheEndOf(operand: keyof typeof SHAPES): Bindings {
  const drawn = (size: number) => Float64Array.from({ length: size }, (_, i) => Math.sin(i * i));
  const bindings = Object.fromEntries(OPERANDS.map((name) => [name, drawn(sizeOf(SHAPES[name]))]));
  bindings[operand][bindings[operand].length - 1] = Infinity;
  return bindings;
}
