import { describe, expect, it } from 'vitest';
import { drawInputs, fillConstants } from '../../../cli/verify/values.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { concat, constant, defineModel, ones, zeros } from '../../../compiler/dsl/index.ts';
import type { Program } from '../../../runtime/program.ts';
import type { Chunks } from '../../../runtime/transfer.ts';
import { PORTABLE } from '../../../compiler/device.ts';

const model = defineModel({
  config: {},
  entries: {
    f(e) {
      const [label, free, flag] = [
        e.input('label', [64], 'i32'),
        e.input('free', [64], 'u32'),
        e.input('flag', [64], 'bool'),
      ];
      const table = e.params.param('table', [3, 4], zeros);
      const scale = e.params.param('scale', [4], ones);
      const labels = concat([label.reshape(8, 8), constant(2, [8, 8], 'i32')], 0);
      const moment = e.state('moment', [5]);
      const turns = e.state('turns', [], 'i32');
      e.update(moment, moment.sqrt());
      e.update(turns, turns.add(1));
      const x = table.gather(labels).mul(scale).add(e.input('x', []));
      return { x, free: free.add(1), flag: flag.cast('f32') };
    },
  },
});

describe('what kernels are tried on', () => {
  const options = { name: 'm', source: '', device: PORTABLE, entryOptions: { batch: 1 } };
  const { manifest } = compileModel(model, options);

  it('labels are rows of the table they choose from, and all rows come', () => {
    const inputs = drawInputs(manifest, 'f', 7);
    expect(new Set(inputs.get('label'))).toEqual(new Set([0, 1, 2]));
    expect(inputs.get('label')).toBeInstanceOf(Int32Array);
    expect(new Set(inputs.get('flag'))).toEqual(new Set([0, 1]));
    expect(Math.max(...inputs.get('free')!)).toBeGreaterThan(2);
    expect(inputs.get('x')).toHaveLength(1);
  });

  it('the seed alone decides', () => {
    expect(drawInputs(manifest, 'f', 7)).toEqual(drawInputs(manifest, 'f', 7));
    expect(drawInputs(manifest, 'f', 7)).not.toEqual(drawInputs(manifest, 'f', 8));
  });

  it('nothing starts at one value everywhere, and what may be a variance is positive', async () => {
    const set = new Map<string, number[]>();
    const keep = (name: string, chunks: Chunks) => {
      set.set(
        name,
        [...(chunks as Iterable<Float32Array>)].flatMap((chunk) => Array.from(chunk)),
      );
      return Promise.resolve();
    };
    const program = { manifest, states: manifest.states, setParam: keep, setState: keep } as unknown as Program;
    await fillConstants(program, 7, { params: true });
    for (const values of set.values()) expect(new Set(values).size).toBe(values.length);
    const within = (name: string, low: number, high: number) =>
      set.get(name)!.forEach((x) => expect(x > low && x < high, `${name} ${x}`).toBe(true));
    within('table', -Math.sqrt(3 / 4), Math.sqrt(3 / 4));
    within('scale', 0.5, 1.5);
    within('moment', 0, 1);
    expect([...set.keys()].sort()).toEqual(['moment', 'scale', 'table']);
    set.clear();
    await fillConstants(program, 7, { params: false });
    expect([...set.keys()]).toEqual(['moment']);
  });
});
