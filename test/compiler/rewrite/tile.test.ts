/** Values too large to bind, in parts: the same results, and nothing left that is too large. */
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { byteSize, GraphBuilder, nodesOf, Remarks, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { canonicalise } from '../../../compiler/rewrite/simplify.ts';
import { expand } from '../../../compiler/rewrite/expand.ts';
import { tile } from '../../../compiler/rewrite/tile.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { autoencoderKL } from '../../../models/vae.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { drawBindings } from '../../models/zoo.ts';

const binding = (bytes: number): DeviceSpec => ({
  ...PORTABLE,
  name: 'narrow',
  limits: { ...PORTABLE.limits, maxStorageBufferBindingSize: bytes },
});

const large = (graph: Graph, bytes: number) =>
  nodesOf(graph).filter((n) => n.op === 'matmul' && byteSize(n.type) > bytes);

function expectSame(graph: Graph, tiled: Graph): void {
  const bindings = drawBindings(graph);
  const [want, got] = [graph, tiled].map((g) => interpret(g, bindings).outputs);
  for (const [name, { shape, data }] of Object.entries(want)) {
    expect(got[name].shape).toEqual(shape);
    expect(relativeError(got[name].data, data), name).toBeLessThan(1e-12);
  }
}

type Build = (f: Functional, h: Node) => Node;

/** From h = w·x [2,8,12], 768 bytes, with w [8,5] and x [2,5,12]. */
const CASES: Record<string, Build> = {
  'contracted over rows': (f, h) => f.matmul(f.constant(0.5, 'f32', [3, 8]), f.unary('tanh', h)),
  'contracted over columns': (f, h) => f.matmul(h, f.constant(0.5, 'f32', [12, 3])),
  'multiplied with its own transpose': (f, h) => f.matmul(h, f.transpose(f.exp(h))),
  'reduced across the parts': (f, h) => f.add(f.sum(h, [0, 1]), f.reduceMax(h, [0, 1, 2])),
  'normalised in groups': (f, h) => {
    const groups = f.reshape(h, [2, 4, 2, 12]);
    return f.reshape(f.sub(groups, f.mean(groups, [2, 3])), [2, 8, 12]);
  },
  'padded, in windows, permuted and cut': (f, h) => {
    const padded = f.pad(h, [0, 0, 1], [0, 0, 1]);
    const windows = f.permute(f.unfold(padded, 2, 3), [0, 1, 3, 2]);
    return f.slice(windows, [0, 0, 1, 2], [2, 8, 2, 7]);
  },
  'seen through views that mix the parts': (f, h) => {
    const rows = f.concat([f.slice(h, [0, 1, 0], [2, 6, 12]), f.pad(h, [0, 1, 0], [0, 0, 0])], 1);
    return f.add(f.unfold(rows, 1, 2), f.constant(1));
  },
  'read by a larger one': (f, h) => f.matmul(f.constant(0.5, 'f32', [24, 8]), f.unary('tanh', h)),
  'spread over a larger one': (f, h) => f.exp(f.broadcast(f.reshape(h, [2, 1, 8, 12]), [2, 4, 8, 12])),
  'joined with what is whole': (f, h) => {
    const each = f.iota('f32', [8, 1], 0);
    return f.select(f.compare('gt', h, each), f.mul(h, f.iota('f32', [2, 1, 1], 0)), f.iota('f32', [12], 0));
  },
  'given back': (_f, h) => h,
  'looked up': (f, h) => f.gather(h, f.constant(1, 'i32', [3])),
};

describe.each(Object.entries(CASES))('a large value %s', (_name, build) => {
  /** Two images, then their rows in two parts and in four. */
  it.each([384, 192, 96])('is the same in bindings of %i bytes', (bytes) => {
    const f = new Functional(new GraphBuilder(opTable));
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2, 5, 12] });
    const node = build(f, f.matmul(f.op('param', [], { name: 'w', dtype: 'f32', shape: [8, 5] }), x));
    const graph: Graph = { name: 'g', inputs: [x], outputs: [{ name: 'y', node }], updates: [] };
    const remarks = new Remarks();
    const tiled = tile(graph, { device: binding(bytes), remarks });
    expect(remarks.list.map(({ by }) => by)).toContain('tile');
    expect(large(tiled, Math.max(bytes, 2 * 8 * 8 * 4 - 1))).toEqual([]);
    expectSame(graph, tiled);
  });
});

describe('an autoencoder whose activations do not fit a binding', () => {
  const config = { blockOutChannels: [4, 8], layersPerBlock: 1, normNumGroups: 2, sampleSize: [12, 10] as const };
  const BYTES = 2400;

  it.each(['encode', 'decode'])('%s: the same, and all that is stored fits', (entry) => {
    const { graph } = traceEntry(autoencoderKL(config), entry, { batch: 1 });
    const expanded = canonicalise(expand(graph));
    expect(large(expanded, BYTES)).not.toEqual([]);
    const tiled = tile(expanded, { device: binding(BYTES) });
    expect(large(tiled, BYTES)).toEqual([]);
    expectSame(expanded, tiled);
    // It throws for what cannot be bound.
    schedule(graph, { device: binding(BYTES), verify: true });
  });
});

it('leaves alone what fits', () => {
  const { graph } = traceEntry(autoencoderKL({ sampleSize: 32 }), 'decode', { batch: 1 });
  const expanded = expand(graph);
  expect(nodesOf(tile(expanded, { device: PORTABLE })).length).toBe(nodesOf(expanded).length);
});
