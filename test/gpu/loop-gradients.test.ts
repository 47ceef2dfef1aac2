/** Gradients of loops that are not unrolled: those of the same turns, written one by one. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import {
  constant,
  gradients,
  scan,
  sigmoid,
  softmax,
  stack,
  tanh,
  type Entry,
  type Tensor,
} from '../../compiler/dsl/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { traced, valuesFor } from '../helpers/traced.ts';

type Loss = (e: Entry, unrolled: boolean, input: (name: string, shape: number[]) => Tensor) => Tensor;

/** Of turns that TypeScript unrolls, or the compiler does not. */
function turns(
  unrolled: boolean,
  xs: Tensor,
  init: Tensor[],
  step: (carry: Tensor[], x: Tensor, i: Tensor) => [Tensor[], Tensor],
): [Tensor[], Tensor] {
  if (!unrolled) {
    const [carry, ys] = scan((carry: Tensor[], x: Tensor, i) => step(carry, x, i), init, xs);
    return [carry, ys];
  }
  const ys: Tensor[] = [];
  let carry = init;
  xs.unstack(0).forEach((x, i) => {
    const [next, y] = step(carry, x, constant(i, [], 'i32'));
    [carry] = [next];
    ys.push(y);
  });
  return [carry, stack(ys)];
}

const LOSSES: [string, Loss][] = [
  [
    'an LSTM',
    (e, unrolled, input) => {
      const zeros = constant(0).broadcastTo(2, 4);
      const [[h, c], ys] = turns(unrolled, input('xs', [5, 2, 3]), [zeros, zeros], ([h, c], x) => {
        const gates = e.params.linear('ih', x, 16).add(e.params.linear('hh', h, 16));
        const [i, f, g, o] = gates.split(4, 1);
        const next = sigmoid(f)
          .mul(c)
          .add(sigmoid(i).mul(tanh(g)));
        const out = sigmoid(o).mul(tanh(next));
        return [[out, next], out];
      });
      return h.mul(c).sum().add(ys.square().mean());
    },
  ],
  [
    'a loop in a loop, of what the outer one carries and of its number',
    (e, unrolled, input) => {
      const [[y]] = turns(unrolled, input('xs', [3, 4]), [input('h', [4])], ([h], x, i) => {
        const [[inner]] = turns(unrolled, e.params.param('w', [2, 4]), [h], ([z], w) => [[tanh(z.mul(w).add(x))], z]);
        return [[inner.mul(i.cast('f32').add(1))], inner];
      });
      return y.square().sum();
    },
  ],
  [
    // As many turns as rows: what is stacked has the shape of what is reduced.
    'sums that are stacked, over as many rows as there are turns',
    (_e, unrolled, input) => {
      const [[h], ys] = turns(unrolled, input('xs', [6, 4]), [input('h', [6, 4])], ([h], x) => {
        const next = tanh(h.mul(0.5).add(x));
        return [[next], next.sum(0)];
      });
      return h.square().sum().add(tanh(ys).square().sum());
    },
  ],
  [
    'derivatives of derivatives',
    (_e, unrolled, input) => {
      const w = input('w', [4]);
      const [[h]] = turns(unrolled, input('xs', [3, 4]), [input('h', [4])], ([h], x) => [[tanh(h.mul(w)).add(x)], h]);
      return gradients(h.square().sum(), [w])[0].square().sum();
    },
  ],
  [
    'attention in a block that is run again and again, and a value that is detached',
    (e, unrolled, input) => {
      const [[x]] = turns(unrolled, input('xs', [3, 1]), [input('x', [1, 5, 8])], ([x], k) => {
        const [q, key, v] = ['q', 'k', 'v'].map((name) => e.params.linear(name, x, 8, { bias: false }));
        const attended = softmax(q.matmul(key.transpose(1, 2)).mul(0.35)).matmul(v);
        return [[x.add(attended.mul(k)).add(x.detach())], k];
      });
      return x.square().mean();
    },
  ],
];

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu.close());

it.each(LOSSES)('%s', async (_name, loss) => {
  const [looped, unrolled] = [false, true].map((isUnrolled) =>
    traced((e) => {
      const given: Tensor[] = [];
      const value = loss(e, isUnrolled, (name, shape) => given[given.push(e.input(name, shape)) - 1]);
      const all = [...given, ...e.parameters().map((parameter) => parameter.value)];
      return Object.fromEntries([value, ...gradients(value, all)].map((tensor, i) => [`out${i}`, tensor]));
    }),
  );
  const values = valuesFor(unrolled);
  const { outputs } = interpret(resolveGradients(unrolled), values);
  const interpreted = interpret(resolveGradients(looped), values).outputs;
  for (const [name, { data }] of Object.entries(outputs))
    expect(relativeError(interpreted[name].data, data), name).toBeLessThan(1e-9);
  // Software GPUs take half a minute to compile the derivative of the gates.
  if (values['ih.weight']) return;
  const got = await gpu.runGraph(looped, values);
  for (const [name, { data }] of Object.entries(outputs))
    expect(relativeError(got.outputs[name], data), name).toBeLessThan(1e-5);
});
