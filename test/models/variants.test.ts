/** Transformers of the kinds that came after DiT against PyTorch: forward and every gradient, by the interpreter and as kernels. */
import { describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { defineModel, gradients } from '../../compiler/dsl/index.ts';
import { traceEntry, type Entry } from '../../compiler/dsl/model.ts';
import { sizeOf, type Graph } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { dit } from '../../models/dit.ts';
import lightning from '../../models/lightning-dit-xl.ts';
import pixart from '../../models/pixart-alpha.ts';
import sit from '../../models/sit-xl.ts';
import { bySubgroups } from '../helpers/devices.ts';
import { runSchedule } from '../helpers/run-schedule.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { PASS } from '../helpers/tolerances.ts';
import { bindingsOf, goldenCases, readGolden, type Golden } from './golden.ts';

/** The forward pass, and the derivative of Σ out·r by every parameter that is trained. */
function traced({ config, shapes }: Golden, batch = shapes['input.x'][0]) {
  const model = dit(config);
  const forward = (e: Entry) => {
    const { out } = model.entries.forward(e)!;
    const trained = e.parameters().filter(({ frozen }) => !frozen);
    const loss = out.mul(e.input('r', out.shape)).sum();
    const slopes = gradients(loss, trained.map(({ value }) => value)); // prettier-ignore
    return { out, ...Object.fromEntries(trained.map(({ name }, i) => [`grad.${name}`, slopes[i]])) };
  };
  return traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch });
}

type Values = Readonly<Record<string, ArrayLike<number>>>;

/** What each picture of a batch binds. */
function pictures({ values, shapes }: Golden, bindings: Values): Values[] {
  const count = shapes['input.x'][0];
  const inputs = Object.entries(values).filter(([name]) => name.startsWith('input.'));
  return Array.from({ length: count }, (_, i) => {
    const own = inputs.map(([name, all]) => [name.replace('input.', ''), part(all, i, count)] as const);
    return { ...bindings, ...Object.fromEntries(own) };
  });
}

const part = (values: ArrayLike<number>, i: number, count: number): number[] =>
  Array.from(values).slice((i * values.length) / count, ((i + 1) * values.length) / count);

/** Outputs of pictures side by side; of their gradients the sum. */
function together(each: readonly Values[]): Values {
  const add = (rows: number[][]) => rows.reduce((total, row) => total.map((x, i) => x + row[i]));
  return Object.fromEntries(
    Object.keys(each[0]).map((name) => {
      const rows = each.map((outputs) => Array.from(outputs[name]));
      return [name, name === 'out' ? rows.flat() : add(rows)];
    }),
  );
}

describe.each(goldenCases('variant-'))('%s', async (stem) => {
  const golden = await readGolden(stem);
  const { graph, params } = traced(golden);
  const fixed = params.flatMap(({ node, init }) =>
    init.kind === 'data' ? [[String(node.attrs.name), Float32Array.from(init.data)] as const] : [],
  );
  const bindings = { ...Object.fromEntries(fixed), ...bindingsOf(golden) };
  const names = Object.keys(golden.shapes).filter((name) => name.startsWith('grad.'));

  it('has the parameters of the authors’ checkpoints', () => {
    const trained = params.filter(({ frozen }) => !frozen);
    expect(trained.map(({ node }) => `grad.${String(node.attrs.name)}`).sort()).toEqual(names.sort());
    for (const { node } of trained) expect(node.type.shape).toEqual(golden.shapes[`param.${String(node.attrs.name)}`]);
  });

  const check = (outputs: Values, most: number) => {
    expect(relativeError(outputs.out, golden.values['output.out'])).toBeLessThan(most);
    // A bias of keys moves all scores of a query alike: its derivative is 0 but for roundings, of the size of the others'.
    for (const name of names) {
      const [got, want] = [outputs[name], golden.values[name]];
      const isNothing = Math.hypot(...Array.from(want)) < 1e-9;
      if (isNothing) expect(Math.hypot(...Array.from(got)), name).toBeLessThan(most);
      else expect(relativeError(got, want), name).toBeLessThan(most);
    }
  };

  const interpreted = (of: Graph, values: Values): Values => {
    const { outputs } = interpret(of, values);
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
  };

  it('is what PyTorch gives, derivatives too, of three pictures', () => {
    expect(golden.shapes['input.x'][0]).toBe(3);
    check(interpreted(resolveGradients(graph), bindings), 1e-6);
  });

  it.each([PORTABLE, bySubgroups(8)])('as kernels of $name', (device) => {
    check(runSchedule(graph, bindings, { device, verify: true }).outputs, PASS);
  });

  it('of one picture at a time, too', () => {
    const single = traced(golden, 1).graph;
    const resolved = resolveGradients(single);
    const each = pictures(golden, bindings);
    check(together(each.map((values) => interpreted(resolved, values))), 1e-6);
    const forward = { ...single, outputs: single.outputs.filter(({ name }) => name === 'out') };
    const { outputs } = runSchedule(forward, each[1], { device: PORTABLE, verify: true });
    expect(relativeError(outputs.out, part(golden.values['output.out'], 1, each.length))).toBeLessThan(PASS);
  });
});

describe('published sizes', () => {
  const count = (model: typeof sit) => {
    const { params } = traceEntry(model, 'forward', { batch: 1 });
    const trained = params.filter(({ frozen }) => !frozen);
    return trained.reduce((sum, { node }) => sum + sizeOf(node.type.shape), 0);
  };

  it('SiT-XL/2 has the 675 M of its paper’s table 1', () => expect(count(sit)).toBe(674_834_720));
  it('LightningDiT-XL/1 has the 675 M of its paper’s table 4', () =>
    expect(count(lightning) / 1e6).toBeCloseTo(675, -1));
  it('PixArt-α has the 0.6 B of its paper, 611 M', () => expect(count(pixart) / 1e6).toBeCloseTo(611, 0));
});
