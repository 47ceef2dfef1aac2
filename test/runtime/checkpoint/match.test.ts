import { describe, expect, it } from 'vitest';
import { matchParameters } from '../../../runtime/checkpoint/match.ts';
import type { ParameterSpec } from '../../../runtime/checkpoint/match.ts';
import { StoredTensorFile } from '../../../runtime/checkpoint/stored.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { failure } from './support.ts';

function file(shapes: Record<string, number[]>) {
  const source = new MemorySource('w.pt', new Uint8Array(0));
  const tensors = Object.entries(shapes).map(([name, shape]) => ({
    name,
    dtype: 'f32' as const,
    shape,
    source,
    byteOffset: 0,
  }));
  return new StoredTensorFile(source, new Map(tensors.map((t) => [t.name, t])), {});
}
const MODEL: Record<string, number[]> = {
  pos_embed: [1, 256, 8],
  'blocks.0.attn.qkv.weight': [24, 8],
  'blocks.0.attn.qkv.bias': [24],
  'blocks.0.mlp.fc1.weight': [32, 8],
};
const params = (shapes = MODEL): ParameterSpec[] => Object.entries(shapes).map(([name, shape]) => ({ name, shape }));
const rename = (shapes: Record<string, number[]>, f: (name: string) => string) =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [f(name), shape]));

describe('matchParameters', () => {
  it('returns the tensors in the order of the parameters', () => {
    const reversed = Object.fromEntries(Object.entries(MODEL).reverse());
    const result = matchParameters(file(reversed), params());
    expect(result.tensors.map((t) => t.name)).toEqual(Object.keys(MODEL));
    expect(result.extra).toEqual([]);
  });

  it('finds a tensor by another name, be it with more axes of size 1', async () => {
    const parameters = [{ name: 'to_q.weight', shape: [8, 8], aliases: ['query.weight', 'old.q.weight'] }];
    const found = matchParameters(file({ 'old.q.weight': [8, 8, 1, 1] }), parameters);
    expect(found.tensors.map((t) => t.name)).toEqual(['old.q.weight']);
    // By its own name it must have its own shape.
    const error = await failure(() => matchParameters(file({ 'to_q.weight': [8, 8, 1, 1] }), parameters));
    expect(error.message).toContain('to_q.weight: the model has [8, 8], the file [8, 8, 1, 1]');
    const other = await failure(() => matchParameters(file({ 'query.weight': [8, 4] }), parameters));
    expect(other.message).toContain('query.weight: the model has [8, 8], the file [8, 4]');
  });

  it('leaves alone the other models of a file that holds several', async () => {
    const parameters = ['a.w', 'b.w'].map((name) => ({ name, shape: [2], aliases: [`vae.${name}`] }));
    const several = { 'vae.a.w': [2], 'vae.b.w': [2], 'unet.w': [5], global_step: [1] };
    expect(matchParameters(file(several), parameters).extra).toEqual([]);
    // But not what lies beside them in their own model, or beside names that need no prefix.
    const error = await failure(() => matchParameters(file({ ...several, 'vae.c.w': [2] }), parameters));
    expect(error.message).toContain('vae.c.w [2]');
    const plain = { 'a.w': [2], 'b.w': [2], 'unet.w': [5] };
    expect((await failure(() => matchParameters(file(plain), parameters))).message).toContain('unet.w [5]');
  });

  it('lets the file hold parameters that other entries read', async () => {
    const others = [{ name: 'decoder.w', aliases: ['dec.w'] }];
    expect(matchParameters(file({ ...MODEL, 'dec.w': [3] }), params(), { others }).extra).toEqual([]);
    const error = await failure(() => matchParameters(file({ ...MODEL, 'dec.v': [3] }), params(), { others }));
    expect(error.message).toContain('dec.v [3]');
  });

  it('reports everything at once', async () => {
    const { pos_embed: _, ...rest } = MODEL;
    const weights = { ...rest, 'blocks.0.attn.qkv.weight': [8, 24], pos_embedd: [1, 256, 8], junk: [1] };
    const error = await failure(() => matchParameters(file(weights), params()));
    expect(error.message).toBe(`w.pt: the checkpoint does not fit the model: 2 of 4 parameters match
  1 missing from the file:
    pos_embed [1, 256, 8], did you mean pos_embedd?
  1 of the wrong shape:
    blocks.0.attn.qkv.weight: the model has [24, 8], the file [8, 24] (transposed)
  2 not used by the model:
    pos_embedd [1, 256, 8]
    junk [1]
check that the model was built with the options the file was trained with`);
    expect(error.code).toBe('mismatch');
  });

  it('lists the first eight of each kind and counts the rest', async () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`layer${i}.weight`, [i + 1]]));
    const error = await failure(() => matchParameters(file({ other: [2, 2] }), params(many)));
    expect(error.message).toContain('20 missing from the file:');
    expect(error.message).toContain('… and 12 more');
    expect(error.message).toContain('the file belongs to another model');
  });

  for (const prefix of ['module.', 'model.', '_orig_mod.', 'ema.', 'some.deep.prefix.']) {
    it(`recognises the prefix ${prefix}`, async () => {
      const error = await failure(() => matchParameters(file(rename(MODEL, (n) => prefix + n)), params()));
      expect(error.fix).toContain(`the file's names begin with "${prefix}"`);
      expect(error.fix).toContain('strip it from 4 of them');
      expect(error.fix!.includes('wrapped')).toBe(prefix === 'ema.' || prefix === 'model.');
    });
  }

  it('recognises a prefix that the file lacks', async () => {
    const error = await failure(() => matchParameters(file(MODEL), params(rename(MODEL, (n) => `net.${n}`))));
    expect(error.fix).toContain(`the model's names begin with "net."`);
  });

  it('takes no prefix that helps few for the reason', async () => {
    const other = { 'blocks.0.fc1.weight': [8], 'blocks.0.fc1.bias': [8], 'head.x': [2], 'head.y': [2] };
    const error = await failure(() =>
      matchParameters(file(other), params({ 'fc1.weight': [4], 'fc1.bias': [4], 'out.weight': [4], 'out.bias': [4] })),
    );
    expect(error.fix).toContain('the file belongs to another model');
  });

  it('allows extra tensors when asked, and says so when not', async () => {
    const weights = file({ ...MODEL, extra: [1] });
    expect(matchParameters(weights, params(), { allowExtra: true }).extra).toEqual(['extra']);
    const error = await failure(() => matchParameters(weights, params()));
    expect(error.fix).toContain('allow extra tensors');
    const wrong = await failure(() =>
      matchParameters(file({ ...MODEL, pos_embed: [1, 64, 8] }), params(), { allowExtra: true }),
    );
    expect(wrong.message).toContain('pos_embed: the model has [1, 256, 8], the file [1, 64, 8]');
    expect(wrong.fix).toContain("the file's sizes");
  });

  it('stays quick and readable on hostile names', async () => {
    const shapes = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`${'a.'.repeat(300)}${i}\n\u001b[31m`, [8]]),
    );
    const start = performance.now();
    const error = await failure(() => matchParameters(file(shapes), params({ ['x'.repeat(500)]: [8], y: [8] })));
    expect(performance.now() - start).toBeLessThan(5000);
    expect(error.message).not.toContain('\u001b');
    expect(error.message.length).toBeLessThan(10_000);
  });
});
