/** The order of kernels: what frees memory runs early, nothing runs before what it reads, nor over what others still want. */
import { expect, it } from 'vitest';
import { GraphBuilder, type Graph } from '../../../compiler/ir/index.ts';
import { Functional, opTable } from '../../../compiler/ops/index.ts';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { sharing } from '../../../compiler/rewrite/packs.ts';
import { updatesGraph } from '../../helpers/updates-graph.ts';

const ROWS = 8;
const WIDTH = 64;

/** One step of gradient descent with momentum on a chain of linears. */
function descent(depth: number): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const leaf = (op: string, name: string, shape: number[]) => f.op(op, [], { name, dtype: 'f32', shape });
  const input = leaf('input', 'x', [ROWS, WIDTH]);
  const weights = Array.from({ length: depth }, (_, i) => leaf('param', `w${i}`, [WIDTH, WIDTH]));
  const out = weights.reduce((x, w) => f.unary('silu', f.op('linear', [x, w])), input);
  const loss = f.sum(f.square(out), [0, 1]);
  const updates = gradients(f, loss, weights).flatMap((gradient, i) => {
    const momentum = leaf('state', `m${i}`, [WIDTH, WIDTH]);
    const node = f.add(f.mul(momentum, 0.9), gradient);
    return [
      { state: momentum, node },
      { state: weights[i], node: f.sub(weights[i], f.mul(node, 0.01)) },
    ];
  });
  return { name: 'descent', inputs: [input], outputs: [{ name: 'loss', node: loss }], updates };
}

it('takes gradients into the optimiser’s state as they come: they never need memory all at once', () => {
  const [few, many] = [4, 16].map((depth) => schedule(descent(depth), { device: PORTABLE, verify: true }).memory);
  const gradient = 4 * WIDTH * WIDTH;
  const activations = 3 * 4 * ROWS * WIDTH;
  expect(many.peakBytes - few.peakBytes).toBeLessThanOrEqual(12 * activations);
  expect(many.peakBytes).toBeLessThan(16 * activations + 4 * gradient);
});

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

it.each(
  SEEDS.flatMap(
    (seed) =>
      [
        [seed, false],
        [seed, true],
      ] as const,
  ),
)('keeps to what is read, random %i, in a pack: %j', (seed, packed) => {
  const { regions, homes } = schedule(updatesGraph(seed, packed), { device: PORTABLE });
  const position = new Map(regions.flatMap(({ region }, i) => region.results.map(({ node }) => [node, i] as const)));
  regions.forEach(({ region }, i) => {
    for (const read of region.reads) expect(position.get(read) ?? -1).toBeLessThan(i);
    // What is written over a state comes after all other readers of the state.
    const written = region.results.flatMap(({ node }) => homes.get(node) ?? []);
    const later = new Set(regions.slice(i + 1).flatMap(({ region: other }) => other.reads.flatMap(sharing)));
    expect(written.filter((home) => later.has(home))).toEqual([]);
    // Of a pack that it writes to a kernel reads nothing.
    const own = new Set(region.reads.flatMap(sharing));
    expect(written.filter((home) => own.has(home))).toEqual([]);
  });
});

it('fills arenas no further than the device’s buffers, and opens others', () => {
  const limits = { ...PORTABLE.limits, maxBufferSize: 2 ** 14 };
  const { memory } = schedule(descent(16), { device: { ...PORTABLE, limits }, verify: true });
  expect(memory.peakBytes).toBeGreaterThan(2 ** 15);
  expect(Math.max(...memory.arenas)).toBeLessThanOrEqual(2 ** 14);
});
