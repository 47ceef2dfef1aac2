/** Sums of a product's left operand, row by row, and what is computed from them: beside the product, in every plan. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

/** A linear layer's derivatives by weight and bias, as a step of gradient descent over the bias. */
function derivatives(k: number, m: number, n: number): Graph {
  return parseGraph(
    `graph @g(%d: f32[${k},${m}], %x: f32[${k},${n}]) {
      %bias = state {dtype = "f32", name = "bias", shape = [${m}]} : f32[${m}]
      %dt = permute %d {perm = [1, 0]} : f32[${m},${k}]
      %dw = matmul %dt, %x : f32[${m},${n}]
      %sum = reduce_sum %d {axes = [0]} : f32[1,${m}]
      %db = reshape %sum {shape = [${m}]} : f32[${m}]
      %next = sub %bias, %db : f32[${m}]
      update %bias = %next
      return dw = %dw
    }`,
    opTable,
  );
}

function run(graph: Graph, device: DeviceSpec) {
  const random = new Random(1);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  for (const { state } of graph.updates) bindings[String(state.attrs.name)] = drawValues(random, state.type);
  const want = interpret(graph, bindings);
  const ran = runSchedule(graph, bindings, { device, passes: [], verify: true });
  for (const { name } of graph.outputs)
    expect(relativeError(ran.outputs[name], want.outputs[name].data), name).toBeLessThan(1e-5);
  for (const { state } of graph.updates) {
    const name = String(state.attrs.name);
    expect(relativeError(ran.updates[name], want.updates[name].data), name).toBeLessThan(1e-5);
  }
  return ran.scheduled.regions;
}

describe.each<[string, DeviceSpec, string, [number, number, number]]>([
  ['tiles', PORTABLE, 'product-tiled', [44, 70, 37]],
  ['an invocation per element', PORTABLE, 'product-simple', [9, 5, 6]],
  ['subgroups, one by one', bySubgroups(8), 'product-subgroup', [27, 45, 19]],
  ['subgroups, fewer rows than lanes', bySubgroups(16), 'product-subgroup', [27, 5, 19]],
  ['subgroups of 8, four rows a lane', bySubgroups(8), 'product-subgroup', [512, 132, 128]],
  ['subgroups of 16, four rows a lane', bySubgroups(16), 'product-subgroup', [512, 132, 128]],
])('by %s', (_, device, family, [k, m, n]) => {
  it('are one kernel with the product', () => {
    const regions = run(derivatives(k, m, n), device);
    expect(regions.map(({ plan }) => plan.family)).toEqual([family]);
    expect(regions[0].region.sums.length).toBe(1);
  });
});

it('of rows that lie as they are summed', () => {
  const graph = parseGraph(
    `graph @g(%a: f32[40,24], %y: f32[24,33]) {
      %p = matmul %a, %y : f32[40,33]
      %s = reduce_sum %a {axes = [1]} : f32[40,1]
      return p = %p, s = %s
    }`,
    opTable,
  );
  expect(run(graph, PORTABLE).length).toBe(1);
});

it.each([
  ['of other axes', '%s = reduce_sum %a {axes = [0]} : f32[1,24]'],
  ['of another value', '%s = reduce_sum %b {axes = [1]} : f32[40,1]'],
  ['that are no sums', '%s = reduce_max %a {axes = [1]} : f32[40,1]'],
])('reductions %s keep their kernel', (_, reduction) => {
  const graph = parseGraph(
    `graph @g(%a: f32[40,24], %b: f32[40,24], %y: f32[24,33]) {
      %p = matmul %a, %y : f32[40,33]
      ${reduction}
      return p = %p, s = %s
    }`,
    opTable,
  );
  expect(run(graph, PORTABLE).length).toBe(2);
});
