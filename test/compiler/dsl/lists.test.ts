/** Functions of the DSL that a list calls for each of its tensors: it gives them the place in the list, and the list, besides. */
import { expect, it } from 'vitest';
import { defineModel, layerNorm, silu, stack, type Tensor } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { printGraph } from '../../../compiler/ir/index.ts';
import { errorOf } from '../frontend/scratch.ts';

function traced(f: (xs: Tensor[]) => Tensor[]): string {
  const forward = (e: { input(name: string, shape: number[]): Tensor }) => {
    const x = e.input('x', [2, 3]);
    return { y: stack(f([x, x.neg()])) };
  };
  return printGraph(traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch: 1 }).graph);
}

it('what takes one tensor takes that alone', () => {
  expect(traced((xs) => xs.map(silu))).toBe(traced((xs) => xs.map((x) => silu(x))));
});

it('is refused where the place in the list would be another argument', () => {
  expect(errorOf(() => traced((xs) => xs.map(layerNorm as never))).message).toMatch(
    /layerNorm: takes at most 2 arguments/,
  );
});
