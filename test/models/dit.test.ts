/** DiT against PyTorch, and against the numbers on record: parameters, MACs, names, initial values. */
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf, sizeOf } from '../../compiler/ir/index.ts';
import { interpret, opDef } from '../../compiler/ops/index.ts';
import { dit, sizes, type DiTConfig } from '../../models/dit.ts';
import { positionTable } from '../../models/sinusoids.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { goldenCases, readGolden } from './golden.ts';

/** The reference is computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;

const forward = (config: Partial<DiTConfig>, batch = 1) => traceEntry(dit(config), 'forward', { batch });

describe('the forward pass equals PyTorch', () => {
  const stems = goldenCases('forward-');

  it('in every block variant', async () => {
    const configs = await Promise.all(stems.map(async (stem) => (await readGolden(stem)).config));
    const blocks = new Set(configs.map((config) => config.block));
    expect([...blocks].sort()).toEqual(['adaLN', 'adaLN-Zero', 'cross-attention', 'in-context']);
  });

  it.each(stems)('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const { graph, params } = forward(config, shapes['input.x'][0]);
    const names = Object.keys(shapes).filter((name) => name.startsWith('param.'));
    const declared = params.map(({ node }) => [`param.${String(node.attrs.name)}`, node.type.shape] as const);
    expect(declared.map(([name]) => name).sort()).toEqual([...names].sort());
    for (const [name, shape] of declared) expect(shape, name).toEqual(shapes[name]);

    const bindings = Object.fromEntries(
      Object.entries(values).map(([name, v]) => [name.replace(/^(param|input)\./, ''), v]),
    );
    const { out } = interpret(graph, bindings).outputs;
    expect(out.shape).toEqual(shapes['output.out']);
    expect(relativeError(out.data, values['output.out'])).toBeLessThan(TOLERANCE);
  });
});

const RECORD: [name: string, L: number, d: number, T: number, bare: number, total: number, gmac: number][] = [
  ['S/8', 12, 384, 16, 33_142_016, 33_148_160, 0.358],
  ['S/4', 12, 384, 64, 32_920_448, 32_945_024, 1.413],
  ['S/2', 12, 384, 256, 32_865_056, 32_963_360, 6.056],
  ['B/8', 12, 768, 16, 130_869_248, 130_881_536, 1.418],
  ['B/4', 12, 768, 64, 130_426_496, 130_475_648, 5.565],
  ['B/2', 12, 768, 256, 130_315_808, 130_512_416, 23.005],
  ['L/8', 24, 1024, 16, 458_578_432, 458_594_816, 5.011],
  ['L/4', 24, 1024, 64, 457_988_224, 458_053_760, 19.696],
  ['L/2', 24, 1024, 256, 457_840_672, 458_102_816, 80.698],
  ['XL/8', 28, 1152, 16, 675_664_640, 675_683_072, 7.392],
  ['XL/4', 28, 1152, 64, 675_000_704, 675_074_432, 29.044],
  ['XL/2', 28, 1152, 256, 674_834_720, 675_129_632, 118.621],
  ['XL/2@512', 28, 1152, 1024, 674_834_720, 676_014_368, 524.538],
];

/** The entry file of "XL/2@512" is models/dit-xl-512.ts; of "S/4", models/dit-s-4.ts; of "S/2", models/dit-s.ts. */
const entryFile = (name: string) => `dit-${name.toLowerCase().replace('/2', '').replace(/[/@]/, '-')}`;

const macsOf = ({ graph }: ReturnType<typeof forward>) =>
  nodesOf(graph).reduce((sum, node) => {
    const types = node.inputs.map((input) => input.type);
    return sum + opDef(node.op).cost(types, node.attrs, node.type).macs;
  }, 0);

const countOf = ({ params }: ReturnType<typeof forward>) =>
  params.reduce((sum, { node }) => sum + sizeOf(node.type.shape), 0);

describe('the models of the paper', () => {
  it.each(RECORD)('DiT-%s has its parameters and MACs', async (name, L, d, T, bare, total, gmac) => {
    const { default: model } = (await import(`../../models/${entryFile(name)}.ts`)) as {
      default: ReturnType<typeof dit>;
    };
    const traced = traceEntry(model, 'forward', { batch: 1 });
    expect([countOf(traced), countOf(traced) - T * d]).toEqual([total, bare]);

    // The paper's counting rule (docs/numbers.md), C = 4.
    const patch = 4 * Number(model.config.patchSize) ** 2;
    const blocks = L * (12 * d * d * T + 2 * T * T * d + 6 * d * d);
    const rule = blocks + T * patch * d + T * d * 2 * patch + 256 * d + d * d + 2 * d * d;
    expect(macsOf(traced)).toBe(rule);
    expect((rule / 1e9).toFixed(3)).toBe(gmac.toFixed(3));
  });

  // Table 4: parameters in millions, and "Gflops", which count a LayerNorm element as one too.
  it.each([
    ['in-context', 449, 119.37],
    ['cross-attention', 598, 137.62],
    ['adaLN', 600, 118.56],
    ['adaLN-Zero', 675, 118.64],
  ] as const)('XL/2 with %s blocks', (block, millions, gflops) => {
    const traced = forward({ block });
    const [L, d, T] = [28, 1152, 256];
    const zero = 675_129_632;
    const heads = L * (6 * d * d + 6 * d);
    const final = 2 * d * d + 2 * d;
    const expected = {
      'adaLN-Zero': zero,
      adaLN: zero - heads + L * (4 * d * d + 4 * d),
      'cross-attention': zero - heads - final + L * (4 * d * d + 4 * d),
      'in-context': zero - heads - final,
    }[block];
    expect(countOf(traced)).toBe(expected);
    expect(Math.round((expected - T * d) / 1e6)).toBe(millions);

    const norms = nodesOf(traced.graph).filter((node) => node.op === 'layer_norm');
    const elements = norms.reduce((sum, node) => sum + sizeOf(node.type.shape), 0);
    expect(Math.abs((macsOf(traced) + elements) / 1e9 - gflops)).toBeLessThan(0.01);
  });

  it('has the names and shapes of the released XL/2 checkpoint', () => {
    const { params } = forward({});
    const shapes = new Map(params.map(({ node }) => [String(node.attrs.name), node.type.shape]));
    expect(shapes.size).toBe(292);
    const block = {
      'attn.qkv.weight': [3456, 1152],
      'attn.qkv.bias': [3456],
      'attn.proj.weight': [1152, 1152],
      'attn.proj.bias': [1152],
      'mlp.fc1.weight': [4608, 1152],
      'mlp.fc1.bias': [4608],
      'mlp.fc2.weight': [1152, 4608],
      'mlp.fc2.bias': [1152],
      'adaLN_modulation.1.weight': [6912, 1152],
      'adaLN_modulation.1.bias': [6912],
    };
    const expected: Record<string, number[]> = {
      pos_embed: [1, 256, 1152],
      'x_embedder.proj.weight': [1152, 4, 2, 2],
      'x_embedder.proj.bias': [1152],
      't_embedder.mlp.0.weight': [1152, 256],
      't_embedder.mlp.0.bias': [1152],
      't_embedder.mlp.2.weight': [1152, 1152],
      't_embedder.mlp.2.bias': [1152],
      'y_embedder.embedding_table.weight': [1001, 1152],
      'final_layer.linear.weight': [32, 1152],
      'final_layer.linear.bias': [32],
      'final_layer.adaLN_modulation.1.weight': [2304, 1152],
      'final_layer.adaLN_modulation.1.bias': [2304],
    };
    for (let i = 0; i < 28; i++) {
      for (const [name, shape] of Object.entries(block)) expected[`blocks.${i}.${name}`] = shape;
    }
    expect(Object.fromEntries(shapes)).toEqual(expected);
  });

  it('applies SiLU to the conditioning once', () => {
    const { graph } = forward({ ...sizes.S });
    // One in the timestep's MLP, one on t_emb + y_emb.
    expect(nodesOf(graph).filter((node) => node.op === 'silu')).toHaveLength(2);
  });
});

describe('initial values', () => {
  const tiny = { inputSize: 8, hiddenSize: 24, depth: 2, numHeads: 3, numClasses: 4 } as const;
  const initsOf = (config: Partial<DiTConfig>) =>
    new Map(forward(config).params.map(({ node, init }) => [String(node.attrs.name), init]));

  it('are those of the released code (docs/numbers.md)', () => {
    const inits = initsOf(tiny);
    const uniform = (fanIn: number, fanOut: number) => ({ kind: 'uniform', bound: Math.sqrt(6 / (fanIn + fanOut)) });
    const d = 24;
    const weights = {
      'x_embedder.proj.weight': uniform(16, d),
      't_embedder.mlp.0.weight': { kind: 'normal', std: 0.02 },
      't_embedder.mlp.2.weight': { kind: 'normal', std: 0.02 },
      'y_embedder.embedding_table.weight': { kind: 'normal', std: 0.02 },
      'blocks.1.attn.qkv.weight': uniform(d, 3 * d),
      'blocks.1.attn.proj.weight': uniform(d, d),
      'blocks.1.mlp.fc1.weight': uniform(d, 4 * d),
      'blocks.1.mlp.fc2.weight': uniform(4 * d, d),
      'blocks.1.adaLN_modulation.1.weight': { kind: 'zeros' },
      'final_layer.adaLN_modulation.1.weight': { kind: 'zeros' },
      'final_layer.linear.weight': { kind: 'zeros' },
    };
    for (const [name, init] of Object.entries(weights)) expect(inits.get(name), name).toEqual(init);
    for (const [name, init] of inits) if (name.endsWith('bias')) expect(init, name).toEqual({ kind: 'zeros' });
  });

  it.each(['adaLN', 'cross-attention', 'in-context'] as const)(
    'of %s blocks leave the first output at zero',
    (block) => {
      const inits = initsOf({ ...tiny, block });
      expect(inits.get('final_layer.linear.weight')).toEqual({ kind: 'zeros' });
      if (block === 'adaLN') expect(inits.get('blocks.0.adaLN_modulation.1.weight')).toEqual({ kind: 'zeros' });
      if (block === 'cross-attention') {
        expect(inits.get('blocks.0.cross.k.weight')).toEqual({ kind: 'uniform', bound: Math.sqrt(6 / 48) });
      }
    },
  );

  it('of the positions are the golden ones, in float64', () => {
    const row = positionTable(1152, [16, 16]).subarray((3 * 16 + 5) * 1152);
    const expected = { 0: -0.958924, 1: -0.991531, 288: 0.283662, 289: 0.129871, 576: 0.14112, 577: 0.233831 };
    for (const [i, value] of Object.entries(expected)) expect(row[Number(i)]).toBeCloseTo(value, 6);
    expect([row[864], row[865]].map((v) => v.toFixed(6))).toEqual(['-0.989992', '-0.972277']);
    const init = initsOf({}).get('pos_embed');
    expect(init).toEqual({ kind: 'data', data: positionTable(1152, [16, 16]) });
  });

  it('of the positions are the checkpoint’s to float32', async () => {
    const { config, values } = await readGolden('forward-odd-tiles');
    const side = Number(config.inputSize) / Number(config.patchSize);
    const table = positionTable(Number(config.hiddenSize), [side, side]);
    const stored = values['param.pos_embed'];
    table.forEach((v, i) => expect(Math.abs(v - stored[i])).toBeLessThan(1e-7));
  });
});

describe('a configuration that cannot be', () => {
  it.each([
    [{ numHeads: 7 }, /^dit: hiddenSize is not divisible by numHeads: 1152 \/ 7 .*; heads share/],
    [{ inputSize: 33 }, /^dit: inputSize is not divisible by patchSize: 33 \/ 2 .*; patches are whole/],
    [{ hiddenSize: 30, numHeads: 3 }, /^dit: hiddenSize is not divisible by 4: .*; .*multiple of 4/],
    [{ depth: 0 }, /^dit: depth is 0; give a whole number of at least 1/],
    [{ numClasses: 2.5 }, /^dit: numClasses is 2.5; give a whole number/],
    [{ mlpRatio: 0 }, /^dit: mlpRatio is 0; /],
    [{ classDropoutProb: 1.5 }, /^dit: classDropoutProb is 1.5; give a number of at least 0 and of at most 1/],
    [{ block: 'adaln' }, /^dit: block is "adaln"; use one of in-context, cross-attention, adaLN, adaLN-Zero/],
    [{ learnSigma: 1 }, /^dit: learnSigma is 1; use one of true, false/],
    [{ hidden_size: 8 }, /^dit: unknown key hidden_size; did you mean hiddenSize\? use inputSize, patchSize/],
    [{ depth: undefined }, /^dit: depth is undefined/],
  ])('%j says what to change', (config, message) => {
    expect(() => dit(config as Partial<DiTConfig>)).toThrow(message);
  });
});
