/** One DiT in every form in which people have checkpoints (test/golden/make_checkpoints.py): all give the same parameters, bit by bit. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { declare } from '../../../compiler/emit/declare.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { dit, type DiTConfig } from '../../../models/dit.ts';
import { asModel } from '../../../runtime/checkpoint/layout.ts';
import { matchParameters } from '../../../runtime/checkpoint/match.ts';
import { writeSafetensors } from '../../../runtime/checkpoint/safetensors-write.ts';
import { trainedWeights, type Part } from '../../../runtime/checkpoint/trained.ts';
import { openCheckpointFile } from '../../../runtime/node/checkpoint.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { readGolden } from '../../models/golden.ts';
import { failure } from './support.ts';

const DATA = join(import.meta.dirname, '../../golden/data/checkpoints');
const scratch: string[] = [];
afterEach(() => scratch.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

/** A copy of a golden folder, to be damaged. */
function copyOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ditc-forms-'));
  scratch.push(folder);
  cpSync(join(DATA, name), folder, { recursive: true });
  return folder;
}

const { config, values: golden } = await readGolden('checkpoints/forward');

/** The model's parameters from a checkpoint, as it is loaded everywhere. */
async function load(path: string, more: Partial<DiTConfig> = {}, part?: Part) {
  const model = dit({ ...(config as Partial<DiTConfig>), ...more });
  const traced = traceEntry(model, 'forward', { batch: 3 });
  const params = declare(traced.params, new Map(), model).map((spec) => ({
    ...spec,
    computed: spec.init.kind === 'file',
  }));
  const opened = await openCheckpointFile(path, part);
  try {
    const fixed = { diffusers: { num_attention_heads: config.numHeads, patch_size: config.patchSize } };
    const { file, layout, notes } = await asModel(trainedWeights(opened, part).file, params, fixed);
    const matched = matchParameters(file, params);
    const values: Record<string, Float32Array> = {};
    for (const [i, info] of matched.tensors.entries()) if (info) values[params[i].name] = await file.readF32(info.name);
    return { values, layout, notes: [...notes, ...matched.notes], graph: traced.graph };
  } finally {
    await opened.close();
  }
}

const { values: official, graph } = await load(join(DATA, 'official.safetensors'));

describe('a checkpoint gives the same parameters', () => {
  const same = ['official.pt', 'legacy.pt', 'strided.pt', 'wrapped.pt', 'float8.safetensors'];
  it.each(same)('as %s', async (name) => {
    const { values } = await load(join(DATA, name));
    expect(values).toEqual(official);
  });

  it.each(['diffusers', 'diffusers-sharded', 'diffusers-sharded/diffusion_pytorch_model.safetensors.index.json'])(
    'as %s, without the positions',
    async (name) => {
      const { values, layout, notes } = await load(join(DATA, name));
      const { pos_embed, ...stored } = official;
      expect(values).toEqual(stored);
      expect(layout).toBe('diffusers');
      expect(notes[0]).toContain(
        'in the layout of diffusers, 4 parameters are joined of parts, 5 are there in equal copies',
      );
      expect(notes.join()).toContain('lacks pos_embed, which the model computes');
      expect(pos_embed.length).toBe(16 * 8);
    },
  );

  it('as a safetensors file behind prefixes, and its average', async () => {
    const { notes } = await load(join(DATA, 'wrapped.pt'), {}, 'ema');
    expect(notes.join('\n')).toContain('names are taken without module._orig_mod.');
    expect(notes.join('\n')).toContain('does not use 1 of its tensors: module._orig_mod.steps');
  });

  it.each(['f16', 'bf16', 'f64'])('cast from %s, with a note', async (dtype) => {
    const { values, notes } = await load(join(DATA, `${dtype}.safetensors`));
    expect(notes).toEqual([expect.stringContaining(`all of its tensors are ${dtype}, and read as f32`)]);
    for (const [name, floats] of Object.entries(values))
      expect(relativeError(floats, official[name]), name).toBeLessThan(dtype === 'f64' ? 1e-12 : 4e-3);
  });
});

it('passes over tensors of types that are not read where the model does not use them', async () => {
  const { notes } = await load(join(DATA, 'float8.safetensors'));
  expect(notes.join()).toContain('does not use 1 of its tensors: none');
});

it('with the numerics of diffusers, the model computes what diffusers does', async () => {
  const { values, graph: diffusers } = await load(join(DATA, 'diffusers'), { numerics: 'diffusers' });
  const inputs = { x: golden['input.x'], t: golden['input.t'], y: golden['input.y'] };
  const run = (traced: typeof graph) =>
    interpret(traced, { ...inputs, ...values, pos_embed: official.pos_embed }).outputs.out.data;
  expect(relativeError(run(diffusers), golden['output.out'])).toBeLessThan(1e-5);
  expect(relativeError(run(graph), golden['output.out'])).toBeGreaterThan(1e-3);
});

describe('what is refused, and why', () => {
  it('copies that went apart, with the block', async () => {
    const error = await failure(() => load(join(DATA, 'apart.safetensors')));
    expect(error).toMatchObject({ code: 'mismatch', what: 'the copies of t_embedder.mlp.0.weight differ' });
    expect(error.why).toContain('transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.weight');
  });

  it('a config.json of another model, whose tensors have the same shapes', async () => {
    const folder = copyOf('diffusers');
    const path = join(folder, 'config.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"num_attention_heads": 2', '"num_attention_heads": 4'));
    const error = await failure(() => load(folder));
    expect(error.why).toBe('num_attention_heads: config.json has 4, the model 2');
  });

  const index = 'diffusion_pytorch_model.safetensors.index.json';
  const first = 'diffusion_pytorch_model-00001-of-00002.safetensors';
  const second = 'diffusion_pytorch_model-00002-of-00002.safetensors';
  const damage: [what: string, damage: (folder: string) => void, told: RegExp][] = [
    [
      'a shard that is missing',
      (folder) => rmSync(join(folder, second)),
      /1 of its 2 shards is not beside it: .*00002-of/s,
    ],
    [
      'a shard that was cut',
      (folder) => writeFileSync(join(folder, second), readFileSync(join(folder, second)).subarray(0, 9000)),
      /00002-of-00002.safetensors.*lies beyond the end/s,
    ],
    [
      'a shard of another checkpoint',
      (folder) => cpSync(join(folder, first), join(folder, second)),
      /tensors are not in the shards that the index names/,
    ],
    ['an index without a map', (folder) => writeFileSync(join(folder, index), '{"metadata": {}}'), /no weight_map/],
    ['an index that is no JSON', (folder) => writeFileSync(join(folder, index), '{"weight_map": {'), /malformed/],
    [
      'an index that leads out of its folder',
      (folder) => writeFileSync(join(folder, index), '{"weight_map": {"w": "../secret.safetensors"}}'),
      /shards lie beside their index/,
    ],
  ];
  it.each(damage)('%s', async (_what, change, told) => {
    const folder = copyOf('diffusers-sharded');
    change(folder);
    expect((await failure(() => load(folder))).message).toMatch(told);
  });

  it('two tensors of one name in two shards', async () => {
    const folder = copyOf('diffusers-sharded');
    const map = JSON.parse(readFileSync(join(folder, index), 'utf8')) as { weight_map: Record<string, string> };
    const parts: Uint8Array[] = [];
    const extra = {
      name: 'pos_embed.proj.bias',
      dtype: 'f32' as const,
      shape: [1],
      chunks: () => [Float32Array.of(1)],
    };
    await writeSafetensors(async (bytes) => void parts.push(bytes.slice()), [extra]);
    writeFileSync(join(folder, 'other-00003-of-00003.safetensors'), Buffer.concat(parts));
    map.weight_map['another'] = 'other-00003-of-00003.safetensors';
    writeFileSync(join(folder, index), JSON.stringify(map));
    expect((await failure(() => load(folder))).message).toContain('"another" in other-00003-of-00003.safetensors');
    delete map.weight_map['another'];
    map.weight_map['pos_embed.proj.bias'] = 'other-00003-of-00003.safetensors';
    writeFileSync(join(folder, index), JSON.stringify(map));
    const error = await failure(() => load(folder));
    expect(error.message).toMatch(/the tensor "pos_embed.proj.bias" is there twice: .*00001-of.* both have it/s);
  });

  it('a folder without a checkpoint, naming the folders that have one', async () => {
    const folder = copyOf('diffusers');
    mkdirSync(join(folder, 'pipeline/transformer'), { recursive: true });
    cpSync(join(DATA, 'diffusers'), join(folder, 'pipeline/transformer'), { recursive: true });
    const error = await failure(() => openCheckpointFile(join(folder, 'pipeline')));
    expect(error.fix).toContain('pipeline/transformer');
  });

  it('a folder with several', async () => {
    const folder = copyOf('diffusers');
    writeFileSync(join(folder, 'other.safetensors'), '');
    const error = await failure(() => openCheckpointFile(folder));
    expect(error.why).toContain('diffusion_pytorch_model.safetensors, other.safetensors');
  });

  it('legacy files that were cut anywhere', async () => {
    const folder = copyOf('diffusers');
    const bytes = readFileSync(join(DATA, 'legacy.pt'));
    for (let size = 30; size < bytes.length; size += 701) {
      writeFileSync(join(folder, 'cut.pt'), bytes.subarray(0, size));
      expect(['truncated', 'bad-format']).toContain((await failure(() => load(join(folder, 'cut.pt')))).code);
    }
  });
});
