/** What a tuner may choose from: legal plans, and for results that must not hang on the batch those that give the same bits. */
import { expect, it } from 'vitest';
import { Random } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { isRejected } from '../../../compiler/plans/family.ts';
import { candidatesFor, FAMILIES, planFor, planText } from '../../../compiler/plans/registry.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { CASES } from './groups.ts';

/** Plans of each family that were offered for some group, at most. */
const offered = new Map<string, number>();
let tried = 0;

it.each(CASES.map((one) => [one.name, one] as const))('plans to choose from for %s', async (_, { graph, options }) => {
  const random = new Random(1);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const),
  );
  const { regions } = schedule(graph, options);
  const { device } = options;
  const outputsBy = (which: number, plan: (typeof regions)[number]['plan']) => {
    return runSchedule(graph, bindings, { ...options, replan: (i) => (i === which ? plan : undefined) }).outputs;
  };
  for (const [which, { region, plan: own }] of regions.entries()) {
    const plans = candidatesFor(region, device, own);
    expect(plans[0]).toBe(own);
    expect(new Set(plans.map(planText)).size).toBe(plans.length);
    for (const plan of plans) expect(isRejected(planFor(region, device, plan)), planText(plan)).toBe(false);
    for (const { name } of FAMILIES) {
      const count = plans.filter(({ family }) => family === name).length;
      offered.set(name, Math.max(count, offered.get(name) ?? 0));
    }
    const steady = candidatesFor(region, { ...device, steady: true }, own);
    expect(plans).toEqual(expect.arrayContaining(steady));
    const want = outputsBy(which, own);
    for (const plan of steady.slice(1, 7)) {
      expect(outputsBy(which, plan), `${planText(plan)} beside ${planText(own)}`).toEqual(want);
      tried++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
});

it('every family names several, and there were some of the same bits', () => {
  for (const { name } of FAMILIES) expect(offered.get(name), name).toBeGreaterThan(1);
  expect(tried).toBeGreaterThan(20);
});
