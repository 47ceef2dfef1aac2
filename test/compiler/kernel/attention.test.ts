/** Attention and its derivatives by every recipe, run as kernel IR: scaled, capped, biased, masked. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { GraphBuilder, type Graph } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

/** Whose caches hold no scores: small attentions are kernels too. */
const software = (size?: number): DeviceSpec => ({
  ...PORTABLE,
  name: 'software',
  kind: 'software',
  ...(size && { features: ['subgroups'], subgroups: { min: size, max: size } }),
  cacheBytes: 0,
});

interface Options {
  readonly cap?: number;
  readonly masked: boolean;
  readonly biased: boolean;
  readonly keys?: number;
}

function attentionGraph({ cap, masked, biased, keys = 13 }: Options): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const input = (name: string, shape: number[]) => f.op('input', [], { name, dtype: 'f32', shape });
  const [q, k, v] = [input('q', [2, 11, 12]), input('k', [2, keys, 12]), input('v', [2, keys, 20])];
  const bias = biased ? [input('bias', [11, keys])] : [];
  // Every query sees a key.
  const near = f.add(f.iota('i32', [11, keys], 0), 3);
  const mask = masked ? [f.compare('lt', f.iota('i32', [11, keys], 1), near)] : [];
  const attrs = { scale: 0.4, ...(cap !== undefined && { cap }), ...(masked && { fill: -1e9 }) };
  const out = f.op('attention', [q, k, v, ...bias, ...mask], attrs);
  const slopes = gradients(f, f.sum(f.mul(out, input('dy', [2, 11, 20])), [0, 1, 2]), [q, k, v, ...bias]);
  const outputs = [out, ...slopes].map((node, i) => ({ name: ['out', 'dq', 'dk', 'dv', 'dbias'][i], node }));
  const inputs = [q, k, v, ...bias, input('dy', [2, 11, 20])];
  return { name: 'attention', inputs, outputs, updates: [] };
}

/** Holds what the kernels compute against the interpreter; gives the families they are of. */
function expectRight(graph: Graph, device: DeviceSpec): string[] {
  const random = new Random(3);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  const want = interpret(graph, bindings);
  const { outputs, scheduled } = runSchedule(graph, bindings, { device, verify: true });
  for (const { name } of graph.outputs) {
    const scale = Math.max(...want.outputs[name].data.map(Math.abs));
    if (scale === 0) expect(Math.max(...outputs[name].map(Math.abs)), name).toBe(0);
    else expect(relativeError(outputs[name], want.outputs[name].data), name).toBeLessThan(1e-5);
  }
  return scheduled.regions.map(({ plan }) => plan.family);
}

describe.each<[string, DeviceSpec, string, string]>([
  ['workgroups of a GPU', PORTABLE, 'attention', 'attention-gradient'],
  ['workgroups of a software device', software(), 'attention', 'attention-gradient'],
  ['subgroups of 4', software(4), 'attention-subgroup', 'attention-gradient-subgroup'],
  ['subgroups of 8', software(8), 'attention-subgroup', 'attention-gradient-subgroup'],
])('by %s', (_, device, family, derivatives) => {
  it.each([
    { cap: undefined, masked: false, biased: false },
    { cap: undefined, masked: true, biased: true },
    { cap: 1.5, masked: false, biased: false },
    { cap: 1.5, masked: true, biased: false },
    { cap: -0.7, masked: false, biased: true },
    { cap: 3, masked: true, biased: true },
    { cap: 0, masked: false, biased: false },
  ])('cap $cap, mask $masked, bias $biased', (options) => {
    const families = expectRight(attentionGraph(options), device);
    expect(families).toContain(family);
    expect(families).toContain(derivatives);
  });

  it('a query whose scores are all −∞ sees all keys alike, with no mask or bias either; one that is NaN spoils its own row', () => {
    const graph = attentionGraph({ masked: false, biased: false });
    const random = new Random(4);
    const bindings = Object.fromEntries(
      graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
    );
    bindings.q.fill(0, 0, 12)[0] = -Infinity;
    for (let key = 0; key < 13; key++) bindings.k[12 * key] = 1 + key;
    bindings.q[12] = NaN;
    const { outputs } = runSchedule(graph, bindings, { device, verify: true });
    const mean = (c: number) =>
      Array.from({ length: 13 }, (_, key) => bindings.v[20 * key + c]).reduce((a, b) => a + b) / 13;
    for (let c = 0; c < 20; c++) expect(outputs.out[c]).toBeCloseTo(mean(c), 10);
    expect([...outputs.out.subarray(20, 40)].every(Number.isNaN)).toBe(true);
    expect([...outputs.out.subarray(40)].every(Number.isFinite)).toBe(true);
    const want = interpret(graph, bindings).outputs.out.data;
    expect(
      relativeError(
        outputs.out.map((x) => x || 0),
        want.map((x) => x || 0),
      ),
    ).toBeLessThan(1e-12);
  });
});

describe('by subgroups whose caches hold next to nothing', () => {
  const device = { ...software(8), cacheBytes: 4 };

  it.each([
    { keys: 84, masked: true, biased: true },
    { keys: 84, cap: 1.5, masked: false, biased: false },
  ])(
    'derivatives are products where a row of scores is no more than the rows they read: $keys keys, cap $cap',
    (options) => {
      const families = expectRight(attentionGraph(options), device);
      expect(families).toContain('attention-subgroup');
      expect(families).not.toContain('attention-gradient-subgroup');
    },
  );

  it('scores are not stored where they are more', () => {
    expect(expectRight(attentionGraph({ keys: 85, masked: false, biased: false }), device)).toContain(
      'attention-gradient-subgroup',
    );
  });
});
