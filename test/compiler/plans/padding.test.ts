/** What a plan pads does not show: numbers that are not finite at the end of k, and views that look like others. */
import { describe, expect, it } from 'vitest';
import { PORTABLE } from '../../../compiler/device.ts';
import { parseGraph } from '../../../compiler/ir/index.ts';
import { interpret, opTable } from '../../../compiler/ops/index.ts';
import { bySubgroups, HARDWARE } from '../../helpers/devices.ts';
import { expectSame } from '../../helpers/not-finite.ts';
import { attentionWithDerivatives, infiniteAtTheEndOf, OPERANDS } from '../../helpers/infinite-attention.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';

const OPTIONS = { device: PORTABLE, passes: [], verify: true };

describe('a product of few rows', () => {
  it.each([1, 3])('of %i rows keeps an infinity at the end of k', (m) => {
    const text = `graph @g(%x: f32[${m},37], %y: f32[37,100]) {
      %p = matmul %x, %y : f32[${m},100]
      return p = %p
    }`;
    const graph = parseGraph(text, opTable);
    const x = Float64Array.from({ length: m * 37 }, (_, i) => (i % 37 === 36 ? Infinity : Math.sin(i)));
    const bindings = { x, y: Float64Array.from({ length: 3700 }, (_, i) => 2 + Math.sin(i)) };
    const { outputs, scheduled } = runSchedule(graph, bindings, OPTIONS);
    expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['product-dot']);
    expect([...outputs.p]).toEqual([...interpret(graph, bindings).outputs.p.data]);
  });
});

describe('sums beside a product', () => {
  it.each(['[0, 1]', '[1, 0]'])('of an operand permuted by %s are along its own axis', (perm) => {
    const text = `graph @g(%d: f32[20,20], %x: f32[20,12]) {
      %t = permute %d {perm = ${perm}} : f32[20,20]
      %p = matmul %t, %x : f32[20,12]
      %s = reduce_sum %d {axes = [0]} : f32[1,20]
      return p = %p, s = %s
    }`;
    const graph = parseGraph(text, opTable);
    const d = Float64Array.from({ length: 400 }, (_, i) => Math.sin(i * i));
    const bindings = { d, x: Float64Array.from({ length: 240 }, (_, i) => Math.cos(i)) };
    const { outputs } = runSchedule(graph, bindings, OPTIONS);
    const { outputs: want } = interpret(graph, bindings);
    for (const [i, s] of want.s.data.entries()) expect(outputs.s[i]).toBeCloseTo(s, 10);
    for (const [i, p] of want.p.data.entries()) expect(outputs.p[i]).toBeCloseTo(p, 10);
  });
});

describe.each([PORTABLE, HARDWARE, { ...bySubgroups(8), cacheBytes: 0 }])('attention on $name', (device) => {
  it.each([13, 63, 64, 65])('over %i keys keeps an infinity of the last value', (n) => {
    const text = `graph @g(%q: f32[1,20,8], %k: f32[1,${n},8], %v: f32[1,${n},8]) {
      %a = attention %q, %k, %v {scale = 0.35} : f32[1,20,8]
      return a = %a
    }`;
    const graph = parseGraph(text, opTable);
    const drawn = (size: number) => Float64Array.from({ length: size }, (_, i) => Math.sin(i * i));
    const v = drawn(n * 8);
    v[(n - 1) * 8] = Infinity;
    const bindings = { q: drawn(160), k: drawn(n * 8), v };
    const { outputs, scheduled } = runSchedule(graph, bindings, { ...OPTIONS, device });
    expect(scheduled.regions.map(({ plan }) => plan.family.replace(/-subgroup|-tiled/, ''))).toEqual(['attention']);
    const want = interpret(graph, bindings).outputs.a.data;
    expect(want[0]).toBe(Infinity);
    expectSame(outputs.a, want, 1e-10);
  });
});

describe.each([
  { family: 'attention-gradient', device: PORTABLE },
  { family: 'attention-gradient-tiled', device: HARDWARE },
  { family: 'attention-gradient-subgroup', device: { ...bySubgroups(8), cacheBytes: 0 } },
  // What the caches hold is computed by products.
  { family: 'product-subgroup', device: bySubgroups(8) },
])('the derivatives of attention by $family on $device.name', ({ family, device }) => {
  it.each(OPERANDS)('keep an infinity of the last row of %s where it is', (operand) => {
    const bindings = infiniteAtTheEndOf(operand);
    const { outputs, scheduled } = runSchedule(attentionWithDerivatives, bindings, { device, verify: true });
    expect(scheduled.regions.some(({ plan }) => plan.family === family)).toBe(true);
    const want = interpret(attentionWithDerivatives, bindings).outputs;
    for (const [name, { data }] of Object.entries(want)) expectSame(outputs[name], data, 1e-10);
  });
});
