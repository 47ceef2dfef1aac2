/** A golden training case as one run of `trainStepGiven`: from moments of zero, the first moment is (1 − β₁)·gradient. */
import { expect } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { dit } from '../../models/dit.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { readGolden } from './golden.ts';

const BETA1 = 0.9;

type Numbers = Readonly<Record<string, ArrayLike<number>>>;

export async function trainCase(stem: string) {
  const { config, values, shapes } = await readGolden(stem);
  const batch = shapes['input.t'][0];
  const model = dit(config);
  // PyTorch was given the null class where a label is dropped.
  const dropped = Int32Array.from(values['input.y'], (y) => Number(y === config.numClasses));
  const traced = traceEntry(model, 'trainStepGiven', { batch, gradNorm: 1 });
  const zeros = traced.states.map(({ node }) => [String(node.attrs.name), new Float64Array(sizeOf(node.type.shape))]);
  const bindings: Record<string, ArrayLike<number>> = {
    ...(Object.fromEntries(zeros) as Record<string, Float64Array>),
    images: values['input.x0'],
    noise: values['input.noise'],
    t: values['input.t'],
    labels: Int32Array.from(values['input.y'], (y, i) => (dropped[i] ? 0 : y)),
    drop: dropped,
  };
  for (const { node } of traced.params) bindings[String(node.attrs.name)] = values[`param.${String(node.attrs.name)}`];

  /** Judges what a run gave: the loss, its terms by timestep, and every gradient. */
  const check = (outputs: Numbers, updates: Numbers, tolerance: number): void => {
    // Flow matching has no bound, and its times run from 0 to 1.
    const [mse, vlb] = [values['output.mse'], values['output.vlb'] as ArrayLike<number> | undefined];
    const length = vlb ? 1000 : 1;
    const sum = (xs: ArrayLike<number>) => Array.from(xs).reduce((a, b) => a + b, 0);
    expect(relativeError(outputs.mse, [sum(mse) / batch]), 'mse').toBeLessThan(tolerance);
    if (vlb) expect(relativeError(outputs.vb, [sum(vlb) / batch]), 'vb').toBeLessThan(tolerance);
    else expect(Object.keys(outputs)).not.toContain('vb');
    expect(relativeError(outputs.loss, [(sum(mse) + sum(vlb ?? [])) / batch]), 'loss').toBeLessThan(tolerance);
    const parts = Array.from({ length: 8 }, (_, part) => {
      const inPart = Array.from(values['input.t'], (t, i) =>
        Math.min(7, Math.floor((t * 8) / length)) === part ? [i] : [],
      ).flat();
      return { mse: sum(inPart.map((i) => mse[i])), vlb: sum(inPart.map((i) => vlb?.[i] ?? 0)), count: inPart.length };
    });
    expect(
      relativeError(
        outputs.mseByT,
        parts.map((p) => p.mse),
      ),
    ).toBeLessThan(tolerance);
    if (vlb)
      expect(
        relativeError(
          outputs.vbByT,
          parts.map((p) => p.vlb),
        ),
      ).toBeLessThan(tolerance);
    expect([...Array.from(outputs.countByT)]).toEqual(parts.map((p) => p.count));

    const names = Object.keys(values)
      .filter((name) => name.startsWith('grad.'))
      .map((name) => name.slice(5));
    expect(names.length).toBeGreaterThan(10);
    const norm = (xs: ArrayLike<number>) => Math.sqrt(sum(Array.from(xs, (x) => x * x)));
    const total = norm(names.map((name) => norm(values[`grad.${name}`])));
    for (const name of names) {
      const wanted = values[`grad.${name}`];
      const got = Array.from(updates[`optimizer.m.${name}`], (m) => m / (1 - BETA1));
      // A bias of keys moves all scores of a row alike: its gradient is zero, and what anyone computes is rounding.
      if (norm(wanted) < 1e-12 * total) expect(norm(got), name).toBeLessThan(1e-6 * total);
      else expect(relativeError(got, wanted), name).toBeLessThan(tolerance);
    }
    expect(relativeError(outputs.gradNorm, [total]), 'gradNorm').toBeLessThan(tolerance);
  };
  return { model, config, batch, graph: traced.graph, bindings, check };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
