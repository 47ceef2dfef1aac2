/** Whole powers and roots, of numbers of either sign, against Math.pow; and their derivatives, which are finite at zero. */
import { describe, expect, it } from 'vitest';
import { defineModel, traceEntry } from '../../../compiler/dsl/model.ts';
import { gradients } from '../../../compiler/dsl/functions.ts';
import { nodesOf } from '../../../compiler/ir/index.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { pipeline, runPasses } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';

function powers(y: number, x: number[]) {
  const model = defineModel({
    config: {},
    entries: {
      forward(e) {
        const input = e.input('x', [x.length]);
        const out = input.pow(y);
        return { out, slope: gradients(out.sum(), [input])[0] };
      },
    },
  });
  const { graph } = traceEntry(model, 'forward', { batch: 1 });
  const { outputs } = interpret(runPasses([graph], { device: PORTABLE, passes: pipeline })[0].graph, { x });
  const [out, slope] = ['out', 'slope'].map((name) => Array.from(outputs[name].data));
  return { ops: nodesOf(graph).map(({ op }) => op), out, slope };
}

const signed = [-2.5, -1, -0.1, 0.3, 1, 7];

describe('of either sign', () => {
  it.each([0, 1, 2, 3, 4, 7, 10, -1, -2, -5])('x to the %i', (y) => {
    const { ops, out, slope } = powers(y, signed);
    expect(ops).not.toContain('pow');
    signed.forEach((x, i) => {
      expect(out[i] / x ** y).toBeCloseTo(1, 12);
      expect(slope[i]).toBeCloseTo(y === 0 ? 0 : y * x ** (y - 1), 8 - Math.ceil(Math.log10(Math.abs(y * x ** y) + 1)));
    });
  });

  it('has a slope at zero', () => {
    expect(powers(3, [0, -0.5]).slope).toEqual([0, 0.75]);
  });
});

it.each([0.5, -0.5, 1.5, 0.3])('positive x to the %f', (y) => {
  const positive = [0.2, 1, 9];
  const { out, slope } = powers(y, positive);
  positive.forEach((x, i) => {
    expect(out[i]).toBeCloseTo(x ** y, 10);
    expect(slope[i]).toBeCloseTo(y * x ** (y - 1), 10);
  });
});
