/** What has no counterpart in a golden file: rows of a cache at places that are computed, order among NaN and infinities. */
import { describe, expect, it } from 'vitest';
import { PORTABLE } from '../../compiler/device.ts';
import * as dsl from '../../compiler/dsl/index.ts';
import { defineModel, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { bySubgroups } from '../helpers/devices.ts';
import { runSchedule } from '../helpers/run-schedule.ts';

const graphOf = (forward: (e: Entry) => Record<string, Tensor> | void) =>
  traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch: 2 }).graph;

describe('a cache of keys', () => {
  const T = 4;
  const append = graphOf((e) => {
    const cache = e.state('cache', [e.batch, T, 3]);
    const position = e.input('position', [e.batch], 'i32').reshape(e.batch, 1, 1);
    e.update(cache, dsl.setSlice(cache, 1, position, e.input('keys', [e.batch, 1, 3])));
  });
  const cache = Array.from({ length: 2 * T * 3 }, (_, i) => i);
  const keys = [-1, -2, -3, -4, -5, -6];
  const want = (places: readonly number[]) =>
    cache.map((old, i) => {
      const [n, row, column] = [Math.floor(i / 12), Math.floor(i / 3) % T, i % 3];
      return row === places[n] ? keys[n * 3 + column] : old;
    });

  it.each([[[2, 0]], [[3, 3]], [[4, -1]]])(
    'has the new row at each example’s place, none past its end: %j',
    (position) => {
      const bindings = { cache, keys, position };
      expect([...interpret(append, bindings).updates.cache.data]).toEqual(want(position));
      const { updates, dispatches } = runSchedule(append, bindings, { device: PORTABLE, verify: true });
      expect([...updates.cache]).toEqual(want(position));
      expect(dispatches).toHaveLength(1);
    },
  );

  it('takes several rows', () => {
    const graph = graphOf((e) => ({
      y: dsl.setSlice(e.input('x', [5]), 0, e.input('at', [], 'i32'), e.input('v', [2])),
    }));
    const given = (at: number) => interpret(graph, { x: [0, 1, 2, 3, 4], at: [at], v: [8, 9] }).outputs.y.data;
    expect([given(1), given(3), given(4), given(-1)].map((y) => [...y])).toEqual([
      [0, 8, 9, 3, 4],
      [0, 1, 2, 8, 9],
      [0, 1, 2, 3, 8],
      [9, 1, 2, 3, 4],
    ]);
  });
});

describe('among NaN and infinities', () => {
  const [N, I] = [NaN, Infinity];
  const graph = graphOf((e) => {
    const x = e.input('x', [6]);
    const [values, indices] = dsl.topK(x, 6);
    return { largest: dsl.argmax(x), smallest: dsl.argmin(x), values, indices, sum: dsl.logSumExp(x) };
  });
  const cases = [
    { x: [1, N, 3, N, -I, 2], largest: 1, smallest: 1, indices: [1, 3, 2, 5, 0, 4], sum: N },
    { x: [-I, 4, I, 4, -I, I], largest: 2, smallest: 0, indices: [2, 5, 1, 3, 0, 4], sum: I },
    { x: [-I, -I, -I, -I, -I, -I], largest: 0, smallest: 0, indices: [0, 1, 2, 3, 4, 5], sum: -I },
    {
      x: [7, 7, 7, 0, 7, 7],
      largest: 0,
      smallest: 3,
      indices: [0, 1, 2, 4, 5, 3],
      sum: 7 + Math.log(5 + Math.exp(-7)),
    },
  ];

  it.each(cases)('NaN comes before all, equal ones in their order: $x', ({ x, largest, smallest, indices, sum }) => {
    const kernels = [PORTABLE, bySubgroups(4)].map((device) => runSchedule(graph, { x }, { device }).outputs);
    const exact = interpret(graph, { x }).outputs;
    const all = [Object.fromEntries(Object.entries(exact).map(([name, { data }]) => [name, data])), ...kernels];
    for (const out of all) {
      expect([out.largest[0], out.smallest[0]]).toEqual([largest, smallest]);
      expect([...out.indices]).toEqual(indices);
      expect([...out.values]).toEqual(indices.map((i) => x[i]));
      if (Number.isFinite(sum)) expect(out.sum[0]).toBeCloseTo(sum, 5);
      else expect(out.sum[0]).toBe(sum);
    }
  });
});
