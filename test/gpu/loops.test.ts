/** Loops that are not unrolled: what they compute, against the interpreter, and that nothing of them grows with their turns. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scope } from '../../compiler/dsl/index.ts';
import { constant, foriLoop, scan, sigmoid, softmax, tanh, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { interpret, opTable } from '../../compiler/ops/index.ts';
import { parseGraph, printGraph, verify } from '../../compiler/ir/index.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { MemorySource, type TensorFile } from '../../runtime/checkpoint/source.ts';
import { loadCheckpoint, writeTraining } from '../../runtime/checkpoint/training.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu, typed } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { traced, valuesFor, type Outputs } from '../helpers/traced.ts';

/** An LSTM over xs [T, N, d]: its last state and all outputs. */
function lstm(p: Scope, xs: Tensor, size: number): Outputs {
  const [, n] = xs.shape;
  const zeros = constant(0).broadcastTo(n, size);
  const [{ h, c }, all] = scan(
    ({ h, c }, x) => {
      const gates = p.linear('ih', x, 4 * size).add(p.linear('hh', h, 4 * size));
      const [i, f, g, o] = gates.split(4, 1);
      const next = sigmoid(f)
        .mul(c)
        .add(sigmoid(i).mul(tanh(g)));
      const out = sigmoid(o).mul(tanh(next));
      return [{ h: out, c: next }, out];
    },
    { h: zeros, c: zeros },
    xs,
  );
  return { h, c, all };
}

const CASES: [string, (e: Entry) => Outputs][] = [
  ['an LSTM', (e) => lstm(e.params, e.input('xs', [7, 2, 5]), 6)],
  ['one turn', (e) => lstm(e.params, e.input('xs', [1, 2, 5]), 6)],
  [
    'from the last to the first, of several slices and results, one of them integers',
    (e) => {
      const [carry, ys] = scan(
        ([sum, count], { x, k }, i) => [
          [sum.mul(0.9).add(x), count.add(k)],
          { before: sum, both: x.mul(i.cast('f32')), turn: i.add(count) },
        ],
        [e.input('h', [3]), constant(0, [], 'i32')],
        { x: e.input('xs', [5, 3]), k: e.input('ks', [5], 'i32') },
        { reverse: true },
      );
      return { sum: carry[0], count: carry[1], ...ys };
    },
  ],
  [
    'values that change places',
    (e) => {
      const [a, b] = foriLoop(7, ([a, b]) => [b, a.add(b)], [e.input('a', [4]), e.input('b', [4])]);
      return { a, b };
    },
  ],
  [
    'a loop in a loop, which reads what the outer one carries',
    (e) => {
      const out = foriLoop(
        3,
        (x) => foriLoop(2, (y, i) => y.mul(0.5).add(x.mul(i.cast('f32'))), x.mul(2)),
        e.input('x', [4]),
      );
      return { out };
    },
  ],
  [
    'one loop after the other, and a product that both and the rest read',
    (e) => {
      const w = e.params.param('w', [4, 4]);
      const table = e.input('x', [4, 4]).matmul(w);
      const [, ys] = scan((h, row) => [h.add(row), h.mul(row)], e.input('h', [4]), table);
      const [z] = scan((z, y) => [z.add(y).mul(table.sum(0))], table.mean(0), ys);
      return { z, rest: table.add(z) };
    },
  ],
  [
    'a block of attention whose weights turns share',
    (e) => {
      const x = e.input('x', [1, 5, 8]);
      const block = (x: Tensor) => {
        const [q, k, v] = ['q', 'k', 'v'].map((name) => e.params.linear(name, x, 8, { bias: false }));
        const attended = softmax(q.matmul(k.transpose(1, 2)).mul(0.35)).matmul(v);
        return x.add(e.params.linear('out', attended, 8));
      };
      return { x: foriLoop(4, block, x) };
    },
  ],
];

async function checkpointOf(program: Program): Promise<TensorFile> {
  const parts: Uint8Array[] = [];
  await writeTraining(async (bytes) => void parts.push(bytes.slice()), program, {});
  return openSafetensors(new MemorySource('saved', Buffer.concat(parts)));
}

describe('loops', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  const opened = (artefact: Artefact) => Program.create(gpu.opened.device, artefact);

  it.each(CASES)('%s', async (_name, forward) => {
    const graph = traced(forward);
    const text = printGraph(graph);
    expect(printGraph(verify(parseGraph(text, opTable), opTable))).toBe(text);
    const values = valuesFor(graph);
    const { outputs } = interpret(graph, values);
    const got = await gpu.runGraph(graph, values);
    for (const [name, { data }] of Object.entries(outputs))
      expect(relativeError(got.outputs[name], data), name).toBeLessThan(1e-5);
  });

  it('leave the states of the model, and those alone, in a checkpoint; what follows from it is the same', async () => {
    const graph = traced((e) => {
      const total = e.state('total', [4]);
      const w = e.params.param('w', [4, 4]);
      const [next, all] = scan((h, x) => [h.add(x), h.mul(x)], total, e.input('xs', [3, 4]).matmul(w));
      e.update(total, next);
      return { all };
    });
    const { xs, ...values } = valuesFor(graph);
    const artefact = compileGraphs([graph], { device: gpu.spec });
    expect(artefact.manifest.states.some(({ scratch }) => scratch)).toBe(true);
    const [first, second] = [await opened(artefact), await opened(artefact)];
    try {
      expect(first.states.map(({ name }) => name)).toEqual(['total']);
      await first.setParam('w', typed('f32', values.w));
      first.writeState('total', typed('f32', values.total));
      first.write('xs', typed('f32', xs));
      await first.run('forward');
      const file = await checkpointOf(first);
      expect([...file.tensors.keys()].sort()).toEqual(['param/w', 'state/total']);
      await loadCheckpoint(second, file);
      second.write('xs', typed('f32', xs));
      await second.run('forward');
      const total = interpret(graph, { xs, ...values }).updates.total.data;
      const { outputs, updates } = interpret(graph, { xs, ...values, total });
      expect(relativeError(await second.readOutput('forward', 'all'), outputs.all.data)).toBeLessThan(1e-5);
      expect(relativeError(await second.readState('total'), updates.total.data)).toBeLessThan(1e-5);
    } finally {
      first.close();
      second.close();
    }
  });

  it('runs a thousand turns, and again from the beginning, of the same and of other inputs', async () => {
    const graph = traced((e) => lstm(e.params, e.input('xs', [1000, 1, 3]), 4));
    const values = valuesFor(graph);
    const program = await opened(compileGraphs([graph], { device: gpu.spec }));
    try {
      for (const { name } of program.manifest.params) await program.setParam(name, typed('f32', values[name]));
      const others = Array.from(values.xs, (x) => 0.5 - x);
      for (const xs of [values.xs, values.xs, others]) {
        program.write('xs', typed('f32', xs));
        await program.run('forward');
        const { outputs } = interpret(graph, { ...values, xs });
        for (const [name, { data }] of Object.entries(outputs))
          expect(relativeError(await program.readOutput('forward', name), data), name).toBeLessThan(1e-4);
      }
    } finally {
      program.close();
    }
  });

  it('are passed over in a checkpoint that holds them, as those of artefacts do that do not mark them', async () => {
    const graph = traced((e) => {
      const total = e.state('total', [4]);
      e.update(
        total,
        foriLoop(3, (x) => x.mul(0.5).add(1), total),
      );
      return { total };
    });
    const artefact = compileGraphs([graph], { device: gpu.spec });
    const { manifest } = artefact;
    const states = manifest.states.map((state) => ({ ...state, scratch: undefined }));
    const [first, second] = [await opened({ ...artefact, manifest: { ...manifest, states } }), await opened(artefact)];
    try {
      first.writeState('total', Float32Array.of(1, 2, 3, 4));
      const file = await checkpointOf(first);
      expect(file.tensors.size).toBe(manifest.states.length);
      expect(file.tensors.size).toBeGreaterThan(second.states.length);
      await loadCheckpoint(second, file);
      expect(await second.readState('total')).toEqual(Float32Array.of(1, 2, 3, 4));
    } finally {
      first.close();
      second.close();
    }
  });

  it('keep of what comes before them what is read later, and nothing on the way to it', async () => {
    const graph = traced((e) => {
      const layers = [e.input('x', [4, 8])];
      for (let i = 0; i < 4; i++) layers.push(sigmoid(e.params.linear(`l${i}`, layers[i], 8)));
      const out = foriLoop(3, (y) => y.mul(0.5).add(1), layers[4]);
      const [all] = scan((sum, row) => [sum.add(row), sum], layers[2].mean(0), out);
      return { out, rest: out.add(layers[4]), all };
    });
    const values = valuesFor(graph);
    const artefact = compileGraphs([graph], { device: gpu.spec, verify: true });
    const kept = artefact.manifest.states.map(({ name }) => name).filter((name) => name.endsWith('.kept'));
    // Of the layers, the second's product is read between the loops, and the last one's at the end.
    expect(kept).toHaveLength(2);
    const { outputs } = interpret(graph, values);
    const got = await gpu.run(artefact, 'forward', values);
    for (const [name, { data }] of Object.entries(outputs))
      expect(relativeError(got.outputs[name], data), name).toBeLessThan(1e-5);
  });

  it('takes as many kernels and dispatches, however many turns there are', () => {
    const [few, many] = [10, 1000].map((turns) => {
      const graph = traced((e) => lstm(e.params, e.input('xs', [turns, 1, 3]), 4));
      return compileGraphs([graph], { device: PORTABLE });
    });
    const shown = ({ manifest }: typeof few) =>
      Object.values(manifest.entries).map(({ dispatches }) => dispatches.map(({ kernel }) => kernel));
    expect(shown(many)).toEqual(shown(few));
    expect(many.manifest.entries.forward.parts).toEqual([
      { entry: 'forward.scan.before', times: 1 },
      { entry: 'forward.scan', times: 1000 },
    ]);
    expect(many.manifest.entries.forward.macs).toBe(100 * few.manifest.entries.forward.macs);
  });
});
