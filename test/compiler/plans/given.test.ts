/**
 * Plans from outside, as a tuner gives them: whatever the geometry, the kernel computes what the interpreter does, or the plan is
 * refused and the reason told. Every geometry here is tried on every kernel of every group.
 */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { schedule, type CompileOptions } from '../../../compiler/pipeline.ts';
import { isRejected } from '../../../compiler/plans/family.ts';
import { candidatesFor, FAMILIES, familyOf, planFor, type Plan } from '../../../compiler/plans/registry.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { expectSame } from '../../helpers/not-finite.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { GEOMETRIES, plans } from './geometries.ts';
import { CASES, type Case } from './groups.ts';

it('every family is tried', () => {
  expect(Object.keys(GEOMETRIES).sort()).toEqual(FAMILIES.map(({ name }) => name).sort());
});

/** Of each family, how often a plan of it was admitted, and the reasons of those that were refused. */
const admitted = new Map<string, number>();
const refused = new Map<string, Set<string>>();

/** Values to run a case on, some infinite at their end, where what is padded would show; and what the interpreter makes of them. */
function judged({ graph, infinite }: Case) {
  const random = new Random(1);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  for (const name of infinite) bindings[name][bindings[name].length - 1] = Infinity;
  return { bindings, want: interpret(graph, bindings).outputs };
}

/** Runs a case with a plan for one of its kernels, and holds what it gives against the interpreter. */
function run({ graph, options }: Case, { bindings, want }: ReturnType<typeof judged>, which: number, plan: Plan): void {
  const replan = (i: number) => (i === which ? plan : undefined);
  const { outputs, scheduled } = runSchedule(graph, bindings, { ...options, replan });
  expect(scheduled.regions[which].plan).toBe(plan);
  for (const { name } of graph.outputs)
    expectSame(outputs[name], want[name].data, 1e-5, `${name} by ${JSON.stringify(plan)}`);
}

describe('a kernel of', () => {
  it.each(CASES.map((one) => [one.name, one] as const))('%s is computed rightly or not at all', async (_, one) => {
    const { regions } = schedule(one.graph, one.options);
    const values = judged(one);
    for (const [which, { region }] of regions.entries()) {
      for (const plan of plans) {
        const answer = planFor(region, one.options.device, plan);
        if (isRejected(answer)) {
          refused.set(plan.family, (refused.get(plan.family) ?? new Set()).add(answer.rejected));
        } else {
          run(one, values, which, plan);
          admitted.set(plan.family, (admitted.get(plan.family) ?? 0) + 1);
        }
      }
      // Lets the test runner know that this one lives.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it('every family has been computed by plans from outside, and some were refused', () => {
    for (const { name } of FAMILIES) {
      expect(admitted.get(name) ?? 0, name).toBeGreaterThan(1);
      expect(refused.get(name)?.size ?? 0, name).toBeGreaterThan(1);
    }
  });
});

describe('what a plan of a product takes', () => {
  const { graph, options } = CASES.find(({ name }) => name.startsWith('parts of tiles on portable'))!;
  const [{ region }] = schedule(graph, options).regions;
  const [m, n, k] = [33, 18, 12];

  it.each<[string, Plan, number, readonly number[]]>([
    ['each element alone', simple(64), m * n * k, [n, m]],
    ['a tile of 16²', { family: 'product-tiled', side: 4, perThread: 4, depth: 4 }, 48 * 32 * k, [2, 3]],
    ['tiles of 32×16', vec4({ down: 8, across: 4 }), 64 * 32 * k, [2, 2]],
  ])('by %s', (_, plan, macs, loads) => {
    expect(isRejected(planFor(region, options.device, plan))).toBe(false);
    expect(familyOf(plan).cost(plan, region)).toEqual({ macs, loads });
  });
});

describe('what a kernel computes is decided for the plan that it is given', () => {
  const tiles = { family: 'product-tiled', side: 4, perThread: 4, depth: 16, rolled: false };

  it.each<[string, Plan, string, string]>([
    ['stores no partial statistics', simple(64), 'partial statistics', 'it computes no partial reductions'],
    ['has other tiles than statistics were cut for', tiles, 'partial statistics', 'do not lie in tiles of 16²'],
    ['stores no rows for others', simple(64), 'rows that others read', 'it computes no stored rows'],
  ])('one that %s', (_, plan, name, why) => {
    const one = CASES.find((other) => other.name.startsWith(name))!;
    const { graph, options } = one;
    const own = schedule(graph, options).regions.map(({ region }) => planFor(region, options.device, plan));
    expect(own).toContainEqual({ rejected: expect.stringContaining(why) });
    const { bindings, want } = judged(one);
    const given: CompileOptions['plan'] = ({ anchor }) => (anchor?.op === 'matmul' ? plan : undefined);
    const { outputs, scheduled } = runSchedule(graph, bindings, { ...options, plan: given, verify: true });
    const products = scheduled.regions.filter(({ region }) => region.anchor?.op === 'matmul');
    expect(products.map((product) => product.plan)).toEqual(products.map(() => plan));
    for (const { name: output } of graph.outputs) expectSame(outputs[output], want[output].data, 1e-5, output);
  });
});

describe('is refused, and told why', () => {
  const planOfAll = (name: string, plan: Plan) => {
    const { graph, options } = CASES.find((one) => one.name.startsWith(name))!;
    return () => schedule(graph, { ...options, plan: ({ anchor }) => (anchor?.op === 'matmul' ? plan : undefined) });
  };
  const tiles = { family: 'product-tiled', side: 8, perThread: 4, depth: 16, rolled: false };

  it.each<[string, Plan, string, string]>([
    ['more rows than add up', { family: 'product-dot', lanes: 64, share: 2 }, 'few rows', '3 rows, more than the 2'],
    ['lanes that no subgroup has', subgroup({ lanes: 4 }), 'whole vectors', 'a subgroup of GPU of 8 has 8'],
    [
      'loads that the memory does not lie for',
      subgroup({ right: 'n4' }),
      'whole vectors',
      'the operands lie for k4, k4',
    ],
    [
      'tiles too large for the memory',
      { ...tiles, side: 16, depth: 64 },
      'parts of tiles',
      'bytes of workgroup memory',
    ],
    ['a geometry that is none', simple(-1), 'parts of tiles', 'a workgroup of -1 invocations'],
    ['a plan for something else', { family: 'row', lanes: 1 }, 'parts of tiles', 'it computes row'],
  ])('%s', (_, plan, name, why) => {
    expect(planOfAll(name, plan)).toThrow(expect.objectContaining({ why: expect.stringContaining(why) }));
  });

  it.each<[string, Plan, string]>([
    ['sums', { ...tiles, perThread: 64, depth: 1 }, 'parts of tiles on portable'],
    ['sums in vectors', vec4({ rows: 32, columns: 32 }), 'parts of tiles on portable'],
    ['sums of a lane', subgroup({ rows: 256, columns: 64 }), 'whole vectors'],
    ['queries', { family: 'attention-subgroup', lanes: 8, rows: 512 }, 'attention on'],
    ['scores', { family: 'attention', lanes: 1, rows: 4, keys: 900, columns: 1, rolled: true }, 'attention on'],
    ['columns', { family: 'attention', lanes: 1, rows: 4, keys: 1, columns: 900, rolled: true }, 'attention on'],
  ])('a plan of more %s than registers hold', (_, plan, name) => {
    const { graph, options } = CASES.find((one) => one.name.startsWith(name))!;
    const given: CompileOptions['plan'] = ({ anchor }) => (anchor ? plan : undefined);
    const why = expect.stringMatching(/^\d+ numbers an invocation: registers hold at most 512$/);
    expect(() => schedule(graph, { ...options, plan: given })).toThrow(expect.objectContaining({ why }));
  });

  it.each([
    ['product-dot', 'few rows on portable'],
    ['product-dot-subgroup', 'few rows on gpu'],
  ])('sums by %s, which hang on the number of rows, where the batch must not matter', (family, name) => {
    const { graph, options } = CASES.find((one) => one.name === name)!;
    const [{ region, plan: own }] = schedule(graph, options).regions;
    const plan = candidatesFor(region, options.device, own).find((one) => one.family === family)!;
    const rejected = 'how it adds up depends on the number of rows';
    expect(planFor(region, { ...options.device, steady: true }, plan)).toEqual({ rejected });
  });

  it('derivatives that hold wider rows than registers do', () => {
    const graph = graphOf((f, input) => {
      const [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, [1, 8, 200]));
      const out = f.op('attention', [q, k, v], { scale: 1 });
      return gradients(f, f.sum(out, [0, 1, 2]), [q]);
    });
    const options = { device: { ...bySubgroups(8), cacheBytes: 0 }, passes: [] };
    const planned = (unrolled: number) => () =>
      schedule(graph, {
        ...options,
        plan: ({ anchor }) =>
          anchor?.op === 'attention_dq'
            ? { family: 'attention-gradient', lanes: 8, unrolled, rolled: true }
            : undefined,
      });
    expect(planned(200)).toThrow(
      expect.objectContaining({ why: expect.stringContaining('800 numbers an invocation') }),
    );
    expect(planned(80)).not.toThrow();
  });

  it('a family that is none', () => {
    expect(planOfAll('parts of tiles', { family: 'product-folded' })).toThrow('no plan family product-folded');
  });
});

function simple(workgroup: number): Plan {
  return { family: 'product-simple', workgroup };
}

function subgroup(changed: Record<string, unknown>): Plan {
  return { family: 'product-subgroup', lanes: 8, rows: 8, columns: 3, left: 'one', right: 'one', ...changed };
}

function vec4(changed: Record<string, unknown>): Plan {
  return { family: 'product-tiled-vec4', down: 4, across: 4, rows: 4, columns: 4, depth: 8, ...changed };
}
