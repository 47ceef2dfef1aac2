/** Fusions as text: what every pass leaves prints, parses back and verifies; what is broken is refused, and says why. */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { traceEntry, type Model } from '../../../compiler/dsl/model.ts';
import { FusionContext } from '../../../compiler/fusion/context.ts';
import { readFusions } from '../../../compiler/fusion/parse.ts';
import { fusionPasses, runFusion, unfused } from '../../../compiler/fusion/passes.ts';
import { printFused } from '../../../compiler/fusion/print.ts';
import { verifyFusion } from '../../../compiler/fusion/verify.ts';
import { optimise } from '../../../compiler/opt.ts';
import { pipeline, runPasses } from '../../../compiler/pipeline.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { gpt } from '../../models/zoo/gpt.ts';
import { swin } from '../../models/zoo/swin.ts';
import { unet } from '../../models/zoo/unet.ts';

const MODELS: readonly (readonly [string, Model, string])[] = [
  ['gpt', gpt(), 'loss'],
  ['swin', swin(), 'forward'],
  ['U-Net', unet(), 'forward'],
];

describe.each([PORTABLE, bySubgroups(8)])('on $name', (device: DeviceSpec) => {
  it.each(MODELS)('what each pass leaves of %s is sound, and is the same read back', (_, model, entry) => {
    const graph = runPasses([traceEntry(model, entry, { batch: 2 }).graph], { device }).at(-1)!.graph;
    const left: string[] = [];
    const onPass = (name: string, fusion: Parameters<typeof printFused>[0]) => {
      const text = printFused(fusion);
      const [read] = readFusions(text, `${name}.ir`).fusions.values();
      verifyFusion(read, new FusionContext(read.graph, { device }));
      expect(printFused(read)).toBe(text);
      left.push(name);
    };
    runFusion(unfused(graph), { device, verify: true, onPass });
    expect(left).toEqual(fusionPasses.map(({ name }) => name));
  });
});

const GRAPH = `graph @f(%x: f32[8,8], %y: f32[8,8]) {
  %p = matmul %x, %y : f32[8,8]
  %q = matmul %p, %y : f32[8,8]
  %s = reduce_sum %p {axes = [1]} : f32[8,1]
  %e = exp %p : f32[8,8]
  return q = %q, s = %s, e = %e
}
`;

const SOUND = ['contraction %p anchor %p gives %p, %e', 'contraction %q anchor %q', 'row %s reduces %s'];

describe('the verifier', () => {
  const verified = (groups: readonly string[], rest = 'stored %p, %q, %s, %e', graph = GRAPH) => {
    const { fusions } = readFusions(`${graph}\nfusion @f {\n${[...groups, rest].join('\n')}\n}\n`, 'f.ir');
    const [fusion] = fusions.values();
    return () => verifyFusion(fusion, new FusionContext(fusion.graph, { device: PORTABLE }));
  };

  it('takes what is sound', () => expect(verified(SOUND)).not.toThrow());

  it.each<[string, readonly string[], string?]>([
    ['e: two groups compute it', [...SOUND, 'map %e']],
    ['p: two groups compute it', [...SOUND.slice(1), 'contraction %p anchor %p', 'map %e gives %e, %p']],
    ['e: it is stored, and no group gives it', ['contraction %p anchor %p', ...SOUND.slice(1)]],
    ['s: it is a result of the graph, and not stored', SOUND, 'stored %p, %q, %e'],
    ['one kernel cannot compute the group', ['contraction %p anchor %p gives %p, %q, %e', SOUND[2]]],
    ['x: an anchor is a contraction', ['contraction %p anchor %x gives %p, %e', ...SOUND.slice(1)]],
    ['a contraction, and no other group, has an anchor', ['map %p anchor %p gives %p, %e', ...SOUND.slice(1)]],
    ['a row group reduces something', [...SOUND.slice(0, 2), 'row %s']],
    ['what a group reduces is a reduction', [...SOUND.slice(0, 2), 'row %s reduces %e gives %s']],
    [
      'p: product-tiled does not compute the group',
      ['contraction %p anchor %p plan {"family":"product-tiled","side":3} gives %p, %e', ...SOUND.slice(1)],
    ],
    [
      'views between the domain and a result have each element once',
      [...SOUND.slice(0, 2), 'row %s reduces %s views %e'],
    ],
  ])('%s', (why, groups, rest) => expect(verified(groups, rest)).toThrow(why));

  it('refuses groups that wait for each other', () => {
    const graph = `graph @f(%x: f32[8,8]) {
      %a = exp %x : f32[8,8]
      %s = reduce_sum %a {axes = [0]} : f32[1,8]
      %c = tanh %s : f32[1,8]
      %d = neg %x : f32[8,8]
      %t = reduce_sum %d {axes = [0]} : f32[1,8]
      %b = mul %a, %t : f32[8,8]
      return a = %a, b = %b, c = %c, t = %t
    }`;
    const groups = ['map %a gives %a, %b', 'row %s reduces %s, %t epilogue %c gives %c, %t'];
    expect(verified(groups, 'stored %a, %b, %c, %t', graph)).toThrow('its group waits for itself');
  });

  it('refuses a kernel that reads one part of a concatenation and writes another', () => {
    const graph = `graph @f(%x: f32[8,8]) {
      %a = exp %x : f32[8,8]
      %b = tanh %a : f32[8,8]
      %both = concat %a, %b {axis = 0} : f32[16,8]
      %s = reduce_sum %both {axes = [1]} : f32[16,1]
      return s = %s
    }`;
    const groups = ['map %a', 'map %b', 'row %s reduces %s', 'concat %both of %a, %b'];
    expect(verified(groups, 'stored %a, %b, %both, %s', graph)).toThrow('reads something of a concatenation');
  });
});

describe('the text', () => {
  it.each([
    ['fusion @g {\n}', 'f.ir:9:9', 'there is no graph @g'],
    ['fusion @f {\n  map %z\n}', 'f.ir:10:7', 'the graph has no %z'],
    ['fusion @f {\n  tile %p\n}', 'f.ir:10:3', 'syntax error'],
    ['fusion @f {\n  row %s reduces\n}', 'f.ir:11:1', 'syntax error'],
    ['fusion @f {\n  row %s plan {"family":"rows"}\n}', 'f.ir:10:15', 'there is no such plan'],
  ])('%j is refused at %s', (text, where, what) => {
    expect(() => readFusions(`${GRAPH}\n${text}`, 'f.ir')).toThrow(expect.objectContaining({ where, what }));
  });
});

describe('ditc opt', () => {
  const { graphs, fusions } = readFusions(
    `${GRAPH}\nfusion @f {\n${SOUND.join('\n')}\nstored %p, %q, %s, %e\n}`,
    'f.ir',
  );
  const [hoist] = pipeline;
  const [seed] = fusionPasses;
  const options = { device: PORTABLE, emit: 'ir' } as const;

  it('refuses a pass of graphs behind passes of fusion', () => {
    expect(() => optimise(graphs, { ...options, passes: [seed, hoist] })).toThrow(
      'the pass hoist is of graphs, and comes after passes of fusion',
    );
  });

  it('refuses a pass of graphs where the text says how the graph is fused', () => {
    expect(() => optimise(graphs, { ...options, passes: [hoist] }, fusions)).toThrow(
      'the pass hoist changes the graph that the text has a fusion of',
    );
  });

  it('prints no kernels of groups that are given', () => {
    expect(() => optimise(graphs, { ...options, passes: [seed], emit: 'wgsl' })).toThrow('--emit wgsl fuses by itself');
  });
});
