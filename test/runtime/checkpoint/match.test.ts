import { describe, expect, it } from 'vitest';
import { matchParameters } from '../../../runtime/checkpoint/match.ts';
import type { ParameterSpec } from '../../../runtime/checkpoint/match.ts';
import { StoredTensorFile } from '../../../runtime/checkpoint/stored.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { failure } from './support.ts';

function file(shapes: Record<string, number[]>, unread?: ReadonlyMap<string, string>) {
  const source = new MemorySource('w.pt', new Uint8Array(0));
  const tensors = Object.entries(shapes).map(([name, shape]) => ({
    name,
    dtype: 'f32' as const,
    shape,
    source,
    byteOffset: 0,
  }));
  return new StoredTensorFile(source, new Map(tensors.map((t) => [t.name, t])), {}, unread);
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
    expect(result.tensors.map((t) => t?.name)).toEqual(Object.keys(MODEL));
    expect(result.extra).toEqual([]);
  });

  it('finds a tensor by another name, be it with more axes of size 1', async () => {
    const parameters = [{ name: 'to_q.weight', shape: [8, 8], aliases: ['query.weight', 'old.q.weight'] }];
    const found = matchParameters(file({ 'old.q.weight': [8, 8, 1, 1] }), parameters);
    expect(found.tensors.map((t) => t?.name)).toEqual(['old.q.weight']);
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
    // What lies beside them in their own model, or beside names that need no prefix, is told.
    expect(matchParameters(file({ ...several, 'vae.c.w': [2] }), parameters).extra).toEqual(['vae.c.w']);
    const plain = { 'a.w': [2], 'b.w': [2], 'unet.w': [5] };
    expect(matchParameters(file(plain), parameters).notes).toEqual([
      expect.stringContaining('1 of its tensors: unet.w'),
    ]);
  });

  it('lets the file hold parameters that other entries read', async () => {
    const others = [{ name: 'decoder.w', aliases: ['dec.w'] }];
    expect(matchParameters(file({ ...MODEL, 'dec.w': [3] }), params(), { others }).extra).toEqual([]);
    expect(matchParameters(file({ ...MODEL, 'dec.v': [3] }), params(), { others }).extra).toEqual(['dec.v']);
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

  for (const prefix of ['model.', 'ema.', 'some.deep.prefix.']) {
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

  it('passes over tensors that the model does not use, and tells them', async () => {
    const { extra, notes } = matchParameters(file({ ...MODEL, extra: [1] }), params());
    expect(extra).toEqual(['extra']);
    expect(notes).toEqual(['w.pt: the model does not use 1 of its tensors: extra']);
    const wrong = await failure(() => matchParameters(file({ ...MODEL, pos_embed: [1, 64, 8] }), params()));
    expect(wrong.message).toContain('pos_embed: the model has [1, 256, 8], the file [1, 64, 8]');
    expect(wrong.fix).toContain("the file's sizes");
  });

  it('refuses more blocks of a stack than the model has', async () => {
    const [deep, shallow] = [3, 2].map((n) =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`blocks.${i}.w`, [4]])),
    );
    const error = await failure(() => matchParameters(file(deep), params(shallow)));
    expect(error.message).toContain('blocks.2.w [4]');
    expect(error.fix).toContain('depth');
  });

  it.each(['module.', '_orig_mod.', 'module._orig_mod.', '_orig_mod.module.'])('takes names behind %s', (wrapper) => {
    const { tensors, notes } = matchParameters(file(rename(MODEL, (name) => wrapper + name)), params());
    expect(tensors.map((t) => t?.name)).toEqual(Object.keys(MODEL).map((name) => wrapper + name));
    expect(notes).toEqual([`w.pt: names are taken without ${wrapper}`]);
  });

  it('takes names behind a wrapper within, and refuses two for one', async () => {
    const within = rename(MODEL, (name) => name.replace('.', '._orig_mod.'));
    expect(matchParameters(file(within), params()).tensors).not.toContain(undefined);
    const [name, shape] = Object.entries(MODEL)[0];
    const two = { [`module.${name}`]: shape, [`_orig_mod.${name}`]: shape };
    expect((await failure(() => matchParameters(file(two), params({ [name]: shape })))).message).toMatch(/there twice/);
  });

  it('does without what the model computes, and says so', () => {
    const { pos_embed: computed, ...others } = MODEL;
    const parameters = [...params(others), { name: 'pos_embed', shape: computed, computed: true }];
    const { tensors, notes } = matchParameters(file(others), parameters);
    expect(tensors.at(-1)).toBeUndefined();
    expect(notes).toEqual(['w.pt lacks pos_embed, which the model computes']);
  });

  it('names the type of a tensor that is needed and not read', async () => {
    const { pos_embed, ...others } = MODEL;
    const half = file(others, new Map([['pos_embed', 'F8_E4M3']]));
    const error = await failure(() => matchParameters(half, params({ ...others, pos_embed })));
    expect(error.message).toContain('"pos_embed": F8_E4M3 is not read; convert it to float32');
    expect(matchParameters(half, params(others)).tensors).not.toContain(undefined);
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
