/** Group norms between two products: statistics in pieces by the first, totals and normalising by the second. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { canonicalise } from '../../../compiler/rewrite/simplify.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { normsInPieces } from '../../../compiler/fusion/pieces.ts';
import { normedLayers, type NormCase } from '../../helpers/norm-graph.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

function graphOf(options: NormCase): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const inputs: Node[] = [];
  const input = (name: string, shape: readonly number[]) => {
    const node = f.op('input', [], { name, dtype: 'f32', shape });
    inputs.push(node);
    return node;
  };
  const outputs = normedLayers(f, input, options).map((node, i) => ({ name: `out${i}`, node }));
  return { name: 'layers', inputs, outputs, updates: [] };
}

function run(graph: Graph, device: DeviceSpec = PORTABLE) {
  const random = new Random(1);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  const want = interpret(graph, bindings);
  const passes = [
    { name: 'pieces', doc: '', run: normsInPieces },
    { name: 'settle', doc: '', run: canonicalise },
  ];
  const ran = runSchedule(graph, bindings, { device, passes, verify: true });
  for (const { name } of graph.outputs)
    expect(relativeError(ran.outputs[name], want.outputs[name].data), name).toBeLessThan(1e-5);
  return ran.scheduled.regions.map(({ region }) => region);
}

describe.each<[string, NormCase, DeviceSpec?]>([
  ['whole rows of tiles', {}],
  ['groups of a tile', { channels: 128, groups: 2 }],
  ['groups of an invocation', { groups: 16, places: 64 }],
  ['several images', { batch: 2 }],
  ['rows that are places', { byPlaces: true }],
  ['rows that are places of several images', { byPlaces: true, batch: 2, groups: 8 }],
  ['values that are read once more', { residual: true }],
  [
    'small tiles',
    { places: 96 },
    { ...PORTABLE, limits: { ...PORTABLE.limits, maxComputeInvocationsPerWorkgroup: 64 } },
  ],
])('of %s', (_, options, device) => {
  it('are part of the two kernels', () => {
    const regions = run(graphOf(options), device);
    expect(regions.map(({ kind }) => kind)).toEqual(['contraction', 'contraction']);
    const [first, second] = regions;
    expect(first.pieces?.reductions.length).toBe(2);
    expect(second.totals.length).toBe(3);
  });
});

const crowded = { ...PORTABLE.limits, maxStorageBuffersPerShaderStage: 6 };
const SUBGROUPS = { kind: 'software', features: ['subgroups'], subgroups: { min: 8, max: 8 } } as const;

it.each<[string, NormCase, DeviceSpec?]>([
  ['of groups that cut invocations', { groups: 32 }],
  ['of more groups than invocations share evenly', { batch: 3 }],
  ['of planes that cut tiles', { places: 96 }],
  ['whose statistics somebody else reads', { shared: true }],
  ['where kernels bind too few buffers', {}, { ...PORTABLE, limits: crowded }],
  ['where products are no tiles', {}, { ...PORTABLE, ...SUBGROUPS }],
])('norms %s keep their kernel', (_, options, device) => {
  const regions = run(graphOf(options), device);
  expect(regions.filter(({ kind }) => kind === 'row').length).toBe(1);
  expect(regions.some(({ pieces, totals }) => pieces || totals.length)).toBe(false);
});

it('sums of squares are about the mean: values far from zero lose nothing', () => {
  const graph = normsInPieces(graphOf({}), { device: PORTABLE });
  const squares = nodesOf(graph).filter(({ op, inputs }) => op === 'mul' && inputs[0] === inputs[1]);
  expect(squares.map(({ inputs: [x] }) => x.op)).toEqual(['sub', 'sub']);
});
