/** Attention on matrix units beside numbers that are not finite: what is padded does not show, and what overflows weighs what it should. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DeviceSpec } from '../../../compiler/device.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { attentionOf, drawnFor } from '../../helpers/attention-graph.ts';
import { expectSame } from '../../helpers/not-finite.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { HALF_PASS, KERNEL } from '../../helpers/tolerances.ts';

const specOf = (name: string): DeviceSpec =>
  JSON.parse(readFileSync(new URL(`../../../compiler/specs/${name}.json`, import.meta.url), 'utf8'));

const [QUERIES, KEYS, WIDTH] = [21, 19, 6];

describe.each([
  ['rdna3', 'f16', HALF_PASS],
  ['apple-m', 'f32', KERNEL],
] as const)('on %s, of %s', (name, dtype, error) => {
  const graph = attentionOf({ batch: [2], m: QUERIES, n: KEYS, d: WIDTH, dtype }, true);

  function expectRight(change: (bindings: Record<string, Float64Array>) => void) {
    const bindings = drawnFor(graph);
    change(bindings);
    const { outputs, scheduled } = runSchedule(graph, bindings, { device: specOf(name), verify: true });
    const families = scheduled.regions.map(({ plan }) => plan.family);
    expect(families).toEqual(expect.arrayContaining(['attention-fragments', 'attention-gradient-fragments']));
    const want = interpret(graph, bindings).outputs;
    for (const [output, { data }] of Object.entries(want)) expectSame(outputs[output], data, error, output);
    return want;
  }

  it.each(['q', 'k', 'v', 'dy'])('an infinity at the end of %s stays where it is', (operand) => {
    expectRight((bindings) => (bindings[operand][bindings[operand].length - 1] = Infinity));
  });

  it.each(['q', 'k', 'v'])('NaN at the start of %s stays where it is', (operand) => {
    expectRight((bindings) => (bindings[operand][0] = NaN));
  });

  it('keys that all score −∞ weigh the same', () => {
    const { result } = expectRight(({ q, k, dy }) => {
      for (let key = 0; key < KEYS; key++) k[key * WIDTH] = -1;
      q[0] = Infinity;
      dy.fill(0, 0, WIDTH);
    });
    expect([...result.data].every(Number.isFinite)).toBe(true);
  });

  it('a key that scores −∞ beside others weighs nothing', () => {
    const { result } = expectRight(({ q, k, dy }) => {
      for (let row = 0; row < QUERIES; row++) q[row * WIDTH] = 1;
      k[0] = -Infinity;
      dy.fill(0);
    });
    expect([...result.data].every(Number.isFinite)).toBe(true);
  });
});
