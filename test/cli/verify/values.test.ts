import { describe, expect, it } from 'vitest';
import { drawInputs, inputBounds, withoutConstantInits } from '../../../cli/verify/values.ts';
import { compileModel } from '../../../compiler/pipeline.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { concat, constant, defineModel, ones, zeros } from '../../../compiler/dsl/index.ts';
import { PORTABLE } from '../../../compiler/schedule/device.ts';

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
      const x = table.gather(labels).mul(scale).add(e.input('x', []));
      return { x, free: free.add(1), flag: flag.cast('f32') };
    },
  },
});

describe('what kernels are tried on', () => {
  const { graph } = traceEntry(model, 'f', { batch: 1 });
  const bounds = inputBounds([graph]);
  const options = { name: 'm', source: '', device: PORTABLE, entryOptions: { batch: 1 } };
  const { manifest } = compileModel(model, options);

  it('labels are rows of the table they choose from, and all rows come', () => {
    const inputs = drawInputs(manifest.entries.f, bounds, 7);
    expect(new Set(inputs.get('label'))).toEqual(new Set([0, 1, 2]));
    expect(inputs.get('label')).toBeInstanceOf(Int32Array);
    expect(new Set(inputs.get('flag'))).toEqual(new Set([0, 1]));
    expect(Math.max(...inputs.get('free')!)).toBeGreaterThan(2);
    expect(inputs.get('x')).toHaveLength(1);
  });

  it('the seed alone decides', () => {
    expect(drawInputs(manifest.entries.f, bounds, 7)).toEqual(drawInputs(manifest.entries.f, bounds, 7));
    expect(drawInputs(manifest.entries.f, bounds, 7)).not.toEqual(drawInputs(manifest.entries.f, bounds, 8));
  });

  it('no parameter starts at one value everywhere', () => {
    const kinds = withoutConstantInits(manifest).params.map(({ name, init }) => [name, init]);
    expect(Object.fromEntries(kinds)).toEqual({
      table: { kind: 'uniform', bound: Math.sqrt(3 / 4) },
      scale: { kind: 'uniform', bound: Math.sqrt(3) },
    });
  });
});
