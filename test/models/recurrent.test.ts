/** Recurrent networks as loops that are not unrolled: PyTorch's LSTM and GRU, in values and all gradients. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { gradients, scan, sigmoid, tanh, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import type { Graph } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { bindingsOf, goldenCases, readGolden, type Golden } from './golden.ts';

type Outputs = Record<string, Tensor>;

/** All that a turn gives each gate: of the inputs, and of what is carried. */
function gates(e: Entry, size: number, count: number): (x: Tensor, which: 'ih' | 'hh') => Tensor[] {
  return (x, which) => {
    const w = e.params.param(`weight_${which}_l0`, [count * size, x.shape.at(-1)!]);
    const b = e.params.param(`bias_${which}_l0`, [count * size]);
    return x.matmul(w.transpose(0, 1)).add(b).split(count, 1);
  };
}

const CELLS: Record<string, (e: Entry, size: number, xs: Tensor, state: Outputs) => Outputs> = {
  lstm(e, size, xs, { h, c }) {
    const of = gates(e, size, 4);
    const [last, ys] = scan(
      ({ h, c }, x) => {
        const fromState = of(h, 'hh');
        const [i, f, g, o] = of(x, 'ih').map((gate, at) => gate.add(fromState[at]));
        const cell = sigmoid(f)
          .mul(c)
          .add(sigmoid(i).mul(tanh(g)));
        const out = sigmoid(o).mul(tanh(cell));
        return [{ h: out, c: cell }, out];
      },
      { h, c },
      xs,
    );
    return { ys, hN: last.h, cN: last.c };
  },
  gru(e, size, xs, { h }) {
    const of = gates(e, size, 3);
    const [hN, ys] = scan(
      (h, x) => {
        const [[xr, xz, xn], [hr, hz, hn]] = [of(x, 'ih'), of(h, 'hh')];
        const update = sigmoid(xz.add(hz));
        const fresh = tanh(sigmoid(xr.add(hr)).mul(hn).add(xn));
        const next = fresh.add(update.mul(h.sub(fresh)));
        return [next, next];
      },
      h,
      xs,
    );
    return { ys, hN };
  },
};

function traced({ config, shapes }: Golden, differentiated: boolean): Graph {
  const forward = (e: Entry): Outputs => {
    const names = Object.keys(shapes);
    const inputs = names.filter((name) => /^input\.[a-z]+$/.test(name)).map((name) => name.slice('input.'.length));
    const given = Object.fromEntries(inputs.map((name) => [name, e.input(name, shapes[`input.${name}`])]));
    const { xs, ...state } = given;
    const out = CELLS[String(config.kind)](e, Number(config.size), xs, state);
    if (!differentiated) return out;
    const terms = Object.entries(out).map(([name, value]) => value.mul(e.input(`r.${name}`, value.shape)).sum());
    const leaves = { ...given, ...Object.fromEntries(e.parameters().map(({ name, value }) => [name, value])) };
    const all = gradients(
      terms.reduce((sum, term) => sum.add(term)),
      Object.values(leaves),
    );
    return Object.fromEntries(Object.keys(leaves).map((name, i) => [name, all[i]]));
  };
  return traceEntry({ config: {}, entries: { forward } }, 'forward', { batch: 1 }).graph;
}

/** The worst of the golden's tensors of a group, each of which must be there. */
function worst({ values }: Golden, group: string, got: Record<string, ArrayLike<number>>): number {
  const names = Object.keys(values).filter((name) => name.startsWith(`${group}.`));
  expect(Object.keys(got).sort()).toEqual(names.map((name) => name.slice(group.length + 1)).sort());
  return Math.max(...names.map((name) => relativeError(got[name.slice(group.length + 1)], values[name])));
}

const dataOf = (outputs: Record<string, { readonly data: ArrayLike<number> }>) =>
  Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));

describe.each(goldenCases('recurrent-'))('%s of PyTorch as a scan', (stem) => {
  let gpu: TestGpu;
  let golden: Golden;
  beforeAll(async () => {
    [gpu, golden] = await Promise.all([TestGpu.open(), readGolden(stem)]);
  });
  afterAll(() => gpu.close());

  it('has all its values and gradients, by the interpreter', () => {
    // A golden is rounded once, to float32.
    const values = interpret(traced(golden, false), bindingsOf(golden)).outputs;
    expect(worst(golden, 'output', dataOf(values))).toBeLessThan(1e-7);
    const derived = interpret(resolveGradients(traced(golden, true)), bindingsOf(golden)).outputs;
    expect(worst(golden, 'grad', dataOf(derived))).toBeLessThan(1e-7);
  });

  it('has its values on the device', async () => {
    const { outputs } = await gpu.runGraph(traced(golden, false), bindingsOf(golden));
    expect(worst(golden, 'output', outputs)).toBeLessThan(1e-5);
  });

  // Software GPUs take half a minute to compile the derivative of the gates.
  it.skipIf(!process.env.DITC_SLOW)('has its gradients on the device', async () => {
    const derived = await gpu.runGraph(traced(golden, true), bindingsOf(golden));
    expect(worst(golden, 'grad', derived.outputs)).toBeLessThan(1e-4);
  });
});
