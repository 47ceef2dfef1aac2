/** Rows that a product reads as its left operand and others read too: the product's kernel computes and writes them. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { bySubgroups, withBuffers } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

/** x less its row's mean, over its length: %h, with %mean and %length of each row. */
const norm = (batch: string, m: number, k: number) => {
  const [full, row] = [`f32[${batch}${m},${k}]`, `f32[${batch}${m},1]`];
  const axis = batch ? 2 : 1;
  return `%sum = reduce_sum %x {axes = [${axis}]} : ${row}
    %n = constant {dtype = "f32", shape = [], value = ${1 / k}} : f32[]
    %mean = mul %sum, %n : ${row}
    %c = sub %x, %mean : ${full}
    %c2 = mul %c, %c : ${full}
    %squares = reduce_sum %c2 {axes = [${axis}]} : ${row}
    %length = rsqrt %squares : ${row}
    %h = mul %c, %length : ${full}`;
};

const graphOf = (signature: string, body: string): Graph => parseGraph(`graph @g(${signature}) {\n${body}\n}`, opTable);

function run(graph: Graph, device: DeviceSpec = PORTABLE) {
  const random = new Random(1);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  for (const { state } of graph.updates) bindings[String(state.attrs.name)] = drawValues(random, state.type);
  const want = interpret(graph, bindings);
  const { outputs, scheduled } = runSchedule(graph, bindings, { device, passes: [], verify: true });
  for (const { name } of graph.outputs)
    expect(relativeError(outputs[name], want.outputs[name].data), name).toBeLessThan(1e-5);
  return scheduled.regions.map(({ region }) => region);
}

const written = (regions: ReturnType<typeof run>) =>
  regions.map(({ results }) =>
    results
      .map(({ node }) => node.name ?? node.op)
      .sort()
      .join(' '),
  );

describe('are written by the product', () => {
  it.each<[string, number, number, number]>([
    ['of whole tiles', 64, 32, 128],
    ['of tiles that the rows do not fill', 70, 37, 90],
    ['of small tiles', 20, 50, 17],
    ['of one column of tiles', 40, 16, 8],
  ])('%s', (_, m, k, n) => {
    const body = `${norm('', m, k)}
      %p = matmul %h, %w : f32[${m},${n}]
      return p = %p, h = %h, length = %length, mean = %mean`;
    const regions = run(graphOf(`%x: f32[${m},${k}], %w: f32[${k},${n}]`, body));
    expect(written(regions)).toEqual(['h length mean p']);
  });

  it('of a batch, looked at as one matrix', () => {
    const body = `${norm('3,', 10, 24)}
      %flat = reshape %h {shape = [30, 24]} : f32[30,24]
      %p = matmul %flat, %w : f32[30,20]
      return p = %p, h = %h, length = %length`;
    expect(written(run(graphOf('%x: f32[3,10,24], %w: f32[24,20]', body)))).toEqual(['h length p']);
  });

  it('of a batched product, beside what the product is followed by', () => {
    const body = `${norm('2,', 33, 20)}
      %p = matmul %h, %w : f32[2,33,40]
      %e = exp %p : f32[2,33,40]
      return e = %e, p = %p, h = %h`;
    expect(written(run(graphOf('%x: f32[2,33,20], %w: f32[2,20,40]', body)))).toEqual(['e h p']);
  });

  it('scaled and shifted by windows of one value, which is one binding where there are few', () => {
    const body = `%m = matmul %c0, %wm : f32[6,8,64]
      %s0 = slice %m {size = [1, 8, 64], start = [2, 0, 0], step = [1, 1, 1]} : f32[1,8,64]
      %s1 = slice %m {size = [1, 8, 64], start = [3, 0, 0], step = [1, 1, 1]} : f32[1,8,64]
      ${norm('', 8, 64)}
      %scale = reshape %s0 {shape = [8, 64]} : f32[8,64]
      %shift = reshape %s1 {shape = [8, 64]} : f32[8,64]
      %scaled = mul %h, %scale : f32[8,64]
      %y = add %scaled, %shift : f32[8,64]
      %p = matmul %y, %w : f32[8,32]
      %e = exp %m : f32[6,8,64]
      return p = %p, y = %y, h = %h, e = %e`;
    const graph = graphOf('%x: f32[8,64], %w: f32[64,32], %c0: f32[6,8,16], %wm: f32[6,16,64]', body);
    const [few, many] = [6, 8].map((count) => run(graph, withBuffers(count)));
    for (const regions of [few, many]) expect(written(regions)).toEqual(['e m', 'h p y']);
    const spans = few[1].spans;
    expect([...spans].map(([node, stretch]) => [node.name, stretch])).toEqual([['m', { start: 2, size: 2 }]]);
    expect(many[1].spans.size).toBe(0);
  });
});

describe('keep their kernel', () => {
  const [m, k] = [40, 24];
  const signature = `%x: f32[${m},${k}], %w: f32[${k},${k}], %v: f32[${2 * k},16], %wider: f32[${k},200]`;
  it.each<[string, string, DeviceSpec?]>([
    [
      'where the product is followed by what reads them',
      `%p = matmul %h, %w : f32[${m},${k}]
       %q = add %p, %h : f32[${m},${k}]
       return q = %q`,
    ],
    [
      'where the product is followed by what reads a statistic',
      `%p = matmul %h, %w : f32[${m},${k}]
       %q = add %p, %length : f32[${m},${k}]
       return q = %q, h = %h`,
    ],
    [
      'where they are the right operand too',
      `%t = permute %h {perm = [1, 0]} : f32[${k},${m}]
       %p = matmul %h, %t : f32[${m},${m}]
       return p = %p, h = %h`,
    ],
    [
      'where the product reads what another kernel makes of them',
      `%u = matmul %w, %w : f32[${k},${k}]
       %a = matmul %h, %u : f32[${m},${k}]
       %t = permute %a {perm = [1, 0]} : f32[${k},${m}]
       %p = matmul %h, %t : f32[${m},${m}]
       return p = %p, h = %h, a = %a`,
    ],
    [
      'where a reshape merges them',
      `%r = reshape %h {shape = [${m / 2}, ${2 * k}]} : f32[${m / 2},${2 * k}]
       %p = matmul %r, %v : f32[${m / 2},16]
       return p = %p, h = %h, length = %length`,
    ],
    [
      'where a reshape splits them',
      `%r = reshape %h {shape = [${2 * m}, ${k / 2}]} : f32[${2 * m},${k / 2}]
       %u = slice %w {size = [${k / 2}, ${k}], start = [0, 0], step = [1, 1]} : f32[${k / 2},${k}]
       %p = matmul %r, %u : f32[${2 * m},${k}]
       return p = %p, h = %h, length = %length`,
    ],
    [
      'where a reshape splits them and another joins them again, otherwise',
      `%r = reshape %h {shape = [${m}, 2, ${k / 2}]} : f32[${m},2,${k / 2}]
       %s = reshape %r {shape = [${m / 2}, ${2 * k}]} : f32[${m / 2},${2 * k}]
       %p = matmul %s, %v : f32[${m / 2},16]
       return p = %p, h = %h`,
    ],
    [
      'where every column of tiles would do much work again',
      `%e = tanh %h : f32[${m},${k}]
       %t = tanh %e : f32[${m},${k}]
       %wide = matmul %t, %wider : f32[${m},200]
       return wide = %wide, t = %t`,
    ],
    [
      'where the device computes products by subgroups',
      `%p = matmul %h, %w : f32[${m},${k}]
       return p = %p, h = %h`,
      bySubgroups(8),
    ],
    [
      'where the device binds too few buffers',
      `%p = matmul %h, %w : f32[${m},${k}]
       return p = %p, h = %h, length = %length, mean = %mean`,
      withBuffers(5),
    ],
  ])('%s', (_, body, device) => {
    const regions = run(graphOf(signature, `${norm('', m, k)}\n${body}`), device);
    const last = regions.at(-1)!;
    expect(last.kind).toBe('contraction');
    expect(last.reductions.length).toBe(0);
  });
});

it('kernels are shared by products that bind the same part of a value, and by no others', () => {
  const layer = (i: number) => `%m${i} = matmul %c${i}, %wm : f32[6,8,64]
    %a${i} = slice %m${i} {size = [1, 8, 64], start = [2, 0, 0], step = [1, 1, 1]} : f32[1,8,64]
    %b${i} = slice %m${i} {size = [1, 8, 64], start = [3, 0, 0], step = [1, 1, 1]} : f32[1,8,64]
    ${norm('', 8, 64).replaceAll(/%(x|sum|n|mean|c|c2|squares|length|h)\b/g, `%$1_${i}`)}
    %scale${i} = reshape %a${i} {shape = [8, 64]} : f32[8,64]
    %shift${i} = reshape %b${i} {shape = [8, 64]} : f32[8,64]
    %scaled${i} = mul %h_${i}, %scale${i} : f32[8,64]
    %y${i} = add %scaled${i}, %shift${i} : f32[8,64]
    %p${i} = matmul %y${i}, %w : f32[8,32]`;
  // Of %m1 nobody reads anything else: it is bound whole.
  const body = `${layer(0)}\n${layer(1)}\n%e = exp %m0 : f32[6,8,64]
    return p0 = %p0, y0 = %y0, h0 = %h_0, p1 = %p1, y1 = %y1, h1 = %h_1, e = %e`;
  const inputs = [0, 1].map((i) => `%x_${i}: f32[8,64], %c${i}: f32[6,8,16]`).join(', ');
  const regions = run(graphOf(`${inputs}, %w: f32[64,32], %wm: f32[6,16,64]`, body), withBuffers(6));
  expect(regions.map(({ spans }) => spans.size)).toEqual([0, 1, 0, 0]);
});

it('what there is one of in a row may take the place of what it is computed from', () => {
  const [m, k, n] = [70, 16, 200];
  const body = `%s = state {dtype = "f32", name = "s", shape = [${m}, 1]} : f32[${m},1]
    ${norm('', m, k)}
    %p = matmul %h, %w : f32[${m},${n}]
    %next = add %s, %length : f32[${m},1]
    update %s = %next
    return p = %p, h = %h`;
  const graph = graphOf(`%x: f32[${m},${k}], %w: f32[${k},${n}]`, body);
  expect(written(run(graph))).toEqual(['h next p']);
});
