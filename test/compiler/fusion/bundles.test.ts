/** State that lies side by side: what is bundled, how few buffers an update then binds, and that values stay right. */
import { expect, it } from 'vitest';
import { parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { bundlesOf } from '../../../compiler/fusion/bundles.ts';
import { interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { without } from '../../../compiler/fusion/passes.ts';
import { bindingsOf } from '../../../compiler/fusion/regions.ts';
import { GPU } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const tensor = (op: string, name: string, n: number) =>
  `%${name} = ${op} {dtype = "f32", name = "${name}", shape = [${n}]} : f32[${n}]`;

/** A weight, two moments and an average by element; `other` has the size but nothing to do with them. */
function step(n: number): Graph {
  return parseGraph(
    `graph @step(%g: f32[${n}]) {
      ${tensor('param', 'w', n)}
      ${['m', 'v', 'e', 'other'].map((name) => tensor('state', name, n)).join('\n')}
      %nm = add %m, %g : f32[${n}]
      %gg = mul %g, %g : f32[${n}]
      %nv = add %v, %gg : f32[${n}]
      %q = div %nm, %nv : f32[${n}]
      %nw = sub %w, %q : f32[${n}]
      %ne = add %e, %nw : f32[${n}]
      %no = sin %other : f32[${n}]
      update %w = %nw
      update %m = %nm
      update %v = %nv
      update %e = %ne
      update %other = %no
      return q = %q
    }`,
    opTable,
  );
}

const namesOf = (graph: Graph, device = PORTABLE) => [
  ...new Set([...bundlesOf([graph], device).values()].map(({ states }) => states.join(' '))),
];

it('bundles states that are updated from one another', () => {
  expect(namesOf(step(100))).toEqual(['m v e']);
  const { offset, elements } = bundlesOf([step(100)], PORTABLE).get('v')!;
  expect({ offset, elements }).toEqual({ offset: 128, elements: 384 });
});

it('bundles no more than a binding holds', () => {
  const limits = { ...PORTABLE.limits, maxStorageBufferBindingSize: 3 * 4096 };
  expect(namesOf(step(1024), { ...PORTABLE, limits })).toEqual(['m v e']);
  expect(namesOf(step(1025), { ...PORTABLE, limits })).toEqual([]);
});

it('entries agree on bundles', () => {
  const [one, other] = ['m', 'v'].map((name) =>
    parseGraph(
      `graph @${name}() {
        ${tensor('state', name, 8)}
        ${tensor('state', 'e', 8)}
        %s = add %${name}, %e : f32[8]
        update %${name} = %s
        update %e = %s
        return s = %s
      }`,
      opTable,
    ),
  );
  expect([...bundlesOf([one, other], PORTABLE).get('e')!.states].sort()).toEqual(['e', 'm', 'v']);
});

it('an update binds a bundle once, and is right', () => {
  const graph = step(300);
  const random = new Random(2);
  const bindings = Object.fromEntries(
    [...graph.inputs, ...graph.updates.map(({ state }) => state)].map((node) => [
      String(node.attrs.name),
      drawValues(random, node.type),
    ]),
  );
  const want = interpret(graph, bindings);
  const { scheduled, dispatches, updates } = runSchedule(graph, bindings, { device: PORTABLE, verify: true });
  const updating = scheduled.regions.filter(({ region }) => region.bundles.length);
  // g, w and q, and one buffer for the three states.
  expect(updating.map(({ region }) => bindingsOf(region).length)).toEqual([4]);
  expect(dispatches.flatMap(({ resources }) => resources.filter(({ kind }) => kind === 'bundle')).length).toBe(1);
  for (const { state } of graph.updates) {
    const name = String(state.attrs.name);
    expect(relativeError(updates[name], want.updates[name].data), name).toBeLessThan(1e-6);
  }
});

it('what lies in state already is read from the bundle that is written', () => {
  const graph = parseGraph(
    `graph @average(%g: f32[100]) {
      ${['m', 'e'].map((name) => tensor('state', name, 100)).join('\n')}
      %nm = add %m, %g : f32[100]
      %ne = add %e, %nm : f32[100]
      update %m = %nm
      update %e = %ne
      return g = %g
    }`,
    opTable,
  );
  // A kernel for each: the second reads what the first has written.
  const { manifest } = compileGraphs([graph], {
    device: PORTABLE,
    fusion: without('fuse-consumers', 'fuse-siblings', 'fuse-row-sums', 'share-rows'),
  });
  const kinds = manifest.entries.average.dispatches.map(({ resources }) => resources.map(({ kind }) => kind));
  expect(kinds).toEqual([['input', 'state'], ['bundle']]);
});

it('the artefact says what lies in a bundle', () => {
  const { manifest } = compileGraphs([step(100)], { device: PORTABLE });
  expect(manifest.bundles).toEqual([{ name: 'bundle.0', states: ['m', 'v', 'e'], alignment: 256 }]);
});

it('what lies side by side is loaded and stored by fours on GPUs, where it starts at a four', () => {
  const graph = parseGraph(
    `graph @step(%d: f32[9,128]) {
      ${['m', 'v'].map((name) => tensor('state', name, 128)).join('\n')}
      %s = reduce_sum %d {axes = [0]} : f32[1,128]
      %g = reshape %s {shape = [128]} : f32[128]
      %nm = add %m, %g : f32[128]
      %nv = mul %v, %nm : f32[128]
      update %m = %nm
      update %v = %nv
      return d = %d
    }`,
    opTable,
  );
  const [text] = compileGraphs([graph], { device: GPU, passes: [], verify: true }).wgsl.values();
  expect(text).toMatch(/read_write> m_state: array<vec4f, 64>/);
  const random = new Random(2);
  const given = [...graph.inputs, ...graph.updates.map(({ state }) => state)];
  const bindings = Object.fromEntries(
    given.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const),
  );
  const want = interpret(graph, bindings).updates;
  const { updates } = runSchedule(graph, bindings, { device: GPU, passes: [], verify: true });
  for (const name of ['m', 'v']) expect(relativeError(updates[name], want[name].data), name).toBeLessThan(1e-6);
});
