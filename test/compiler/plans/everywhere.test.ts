/**
 * Plans from outside, given before anything is decided: a compilation whose contractions, rows or maps are all to be computed by one
 * geometry computes what the interpreter does by that, or is refused and says why. Every pass that asks what a contraction's plan will be
 * is told the given one: statistics in pieces, parts of the depth, convolutions' channels, norms of heads.
 */
import { expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import type { Graph } from '../../../compiler/ir/index.ts';
import { isProduct } from '../../../compiler/ops/index.ts';
import { passesFor, schedule, type Scheduled } from '../../../compiler/pipeline.ts';
import { isRejected, kindOf, type Group } from '../../../compiler/plans/family.ts';
import { candidatesFor, FAMILIES, familyOf, planFor, planText, type Plan } from '../../../compiler/plans/registry.ts';
import { dit } from '../../../models/dit.ts';
import { check } from '../../fuzz/check.ts';
import type { Target } from '../../fuzz/devices.ts';
import { drawBindings } from '../../models/zoo.ts';
import { rotaryDit } from '../../models/zoo/rotary-dit.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { backward } from '../../helpers/convolutions.ts';
import { bySubgroups, HARDWARE } from '../../helpers/devices.ts';
import { MATRIX_DEVICES } from '../../helpers/fragment-products.ts';
import { normedLayers } from '../../helpers/norm-graph.ts';
import { plans } from './geometries.ts';

const block = traceEntry(
  dit({ inputSize: 4, patchSize: 2, inChannels: 2, hiddenSize: 16, depth: 1, numHeads: 1, numClasses: 3 }),
  'forward',
  { batch: 1 },
).graph;
const heads = traceEntry(rotaryDit({ tokens: 7, depth: 1, d: 16, heads: 2 }), 'forward', { batch: 1 }).graph;
const norms = graphOf((f, input) => normedLayers(f, input, { channels: 64, groups: 4, places: 64 }));
const deep = graphOf((f, input) => [f.add(f.matmul(input('x', [16, 256]), input('w', [256, 16])), input('b', [16]))]);
const windows = backward({ name: '', x: [1, 8, 4, 4], out: 8 });

const target = (device: Target['device'], more: Partial<Target> = {}): Target => ({
  ...{ name: device.name, device },
  ...more,
});
const [units] = MATRIX_DEVICES.filter(({ subgroupMatrix }) => subgroupMatrix![0].componentType === 'f32');
const [halfUnits] = MATRIX_DEVICES.filter(
  ({ subgroupMatrix }) => subgroupMatrix![0].N === 8 && subgroupMatrix![0].componentType === 'f16',
);

const CASES = (
  [
    ['a DiT', block, target(PORTABLE)],
    ['a DiT', block, target(bySubgroups(8))],
    ['norms of heads', heads, target(units)],
    ['group norms between products', norms, target(PORTABLE)],
    ['a convolution and its gradients', windows, target(halfUnits, { passes: passesFor('f16') })],
  ] as const
).map(([name, graph, on]) => [name, on.name, graph, on] as const);

/** Some plans of families that its groups may ask for: the first and the last of those that they choose from, and one that may be wrong. */
function plansToTry(graph: Graph, { device, passes }: Target): Plan[] {
  const { regions } = schedule(graph, { device, passes });
  const legal = regions.flatMap(({ region, plan }) => candidatesFor(region, device, plan));
  const kinds = new Set(regions.map(({ region }) => kindOf(region)));
  const asked = FAMILIES.filter(({ computes }) => computes.some((kind) => kinds.has(kind)));
  const tried = asked.flatMap(({ name }) => {
    const [own, others] = [legal, plans].map((all) => all.filter(({ family }) => family === name));
    return [...own.slice(0, 1), ...own.slice(-1), others[others.length >> 1]];
  });
  return [...new Map(tried.map((plan) => [planText(plan), plan])).values()];
}

const used = new Set<string>();
const refused = new Set<string>();

it.each(CASES)('%s on %s, by one plan for all that its family computes', async (_, __, graph, target) => {
  const made = { graph, bindings: drawBindings(graph) };
  for (const plan of plansToTry(graph, target)) {
    const isMeant = (group: Group) => familyOf(plan).computes.includes(kindOf(group));
    const verdict = check(made, { target: { ...target, plan: (group) => (isMeant(group) ? plan : undefined) } });
    if ('refused' in verdict) {
      expect(verdict.refused).toContain(`${plan.family} does not compute`);
      refused.add(plan.family);
      const isRight: Target['plan'] = (group, device) => (isRejected(planFor(group, device, plan)) ? undefined : plan);
      expect(check(made, { target: { ...target, plan: isRight } }), planText(plan)).toHaveProperty('scheduled');
    } else {
      expect(verdict, planText(plan)).toHaveProperty('scheduled');
      const { regions } = (verdict as { scheduled: Scheduled }).scheduled;
      const asked = regions.filter(({ region }) => isMeant(region));
      expect(asked.map((one) => one.plan)).toEqual(asked.map(() => plan));
      if (asked.length) used.add(plan.family);
    }
    // Lets the test runner know that this one lives.
    await new Promise((resolve) => setImmediate(resolve));
  }
});

it('most families were used, and most refused something', () => {
  expect([used.size, refused.size].map((count) => count > FAMILIES.length / 2)).toEqual([true, true]);
});

const simple: Plan = { family: 'product-simple', workgroup: 64 };
const tiled = { family: 'product-tiled', side: 4, perThread: 4, depth: 16, rolled: false };
const units8 = { family: 'product-fragments', of: 'f16', m: 8, n: 8, k: 8, lanes: 8, sized: false, down: 1, across: 1, rows: 1, columns: 1, depth: 16 }; // prettier-ignore

/** What a pass did for products that a plan is given for. */
function doneBy(pass: string, graph: Graph, { device, passes }: Target, plan: Plan): number {
  const given: Target['plan'] = ({ anchor }) => (isProduct(anchor) ? plan : undefined);
  const { remarks } = schedule(graph, { device, passes, plan: given });
  return remarks.list.filter((remark) => remark.by === pass && remark.kind === 'applied').length;
}

it.each([
  ['split-depth', 'parts of the depth', deep, target(HARDWARE), tiled],
  ['pieces', 'statistics in pieces', norms, target(PORTABLE), { ...tiled, side: 16 }],
  ['heads', 'norms of heads', heads, target(PORTABLE), { ...tiled, side: 8 }],
  ['channels-last', 'channels side by side', windows, target(halfUnits, { passes: passesFor('f16') }), units8],
])('%s: there are %s where the given plan is for them, and else none', (pass, _, graph, on, plan) => {
  expect(doneBy(pass, graph, on, plan)).toBeGreaterThan(0);
  expect(doneBy(pass, graph, on, simple)).toBe(0);
});
