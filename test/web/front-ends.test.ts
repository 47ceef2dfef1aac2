/**
 * What ditc writes is WGSL to both front ends that browsers have: Tint in Chromium, naga in Firefox. Models of all kinds, as each
 * variant that the browser's GPU has the features for; with DITC_SLOW also the models that come with ditc, in all sizes.
 * @once
 */
import { readdirSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Model } from '../../compiler/dsl/model.ts';
import { variantsOf, type WebVariant } from '../../library/web/variants.ts';
import { autoencoderKL } from '../../models/vae.ts';
import { engines, need } from '../helpers/engines.ts';
import { compileFor, objections } from '../helpers/kernels-in.ts';
import { shaderCheck } from '../helpers/shader-check.ts';
import { network } from './fixture.ts';

const LIMIT = process.env.DITC_SLOW ? 1_800_000 : 240_000;

/** SwiftShader has no f16, and Firefox no subgroups. */
const VARIANTS = { Chromium: ['sg', 'base'], Firefox: ['f16', 'base'] };

/** Layers that the models of the zoo share. */
const NO_MODEL = 'conv';

type Models = readonly (readonly [name: string, model: Model])[];

const stemsIn = (folder: string): string[] =>
  readdirSync(folder).flatMap((file) => (file.endsWith('.ts') ? [file.slice(0, -'.ts'.length)] : []));

async function zoo(): Promise<Models> {
  const stems = stemsIn('test/models/zoo').filter((stem) => stem !== NO_MODEL);
  return Promise.all(
    stems.map(async (stem) => {
      const factory = stem.replace(/-(.)/g, (_, first: string) => first.toUpperCase());
      const module = (await import(`../models/zoo/${stem}.ts`)) as Record<string, () => Model>;
      return [stem, module[factory]()] as const;
    }),
  );
}

/** Those of models/ that are whole models. */
async function own(): Promise<Models> {
  const found = await Promise.all(
    stemsIn('models').map(async (stem) => {
      const { default: model } = (await import(`../../models/${stem}.ts`)) as { default?: Model };
      return model?.entries ? [[stem, model] as const] : [];
    }),
  );
  return found.flat();
}

async function all(): Promise<Models> {
  const small = autoencoderKL({ blockOutChannels: [8, 16], layersPerBlock: 1, normNumGroups: 4, sampleSize: 8 });
  const models = [['a small DiT', network], ['a small autoencoder', small], ...(await zoo())] as const;
  return [...models, ...(process.env.DITC_SLOW ? await own() : [])];
}

/** Each text once, with where it is from, by variant. */
let shaders: ReadonlyMap<string, ReadonlyMap<string, string>>;
beforeAll(async () => {
  const models = await all();
  const of = (variant: WebVariant) =>
    models.flatMap(([name, model]) =>
      [...compileFor(model, variant).artefact.wgsl].map(
        ([kernel, code]) => [code, `${name} as ${variant.name}: ${kernel}`] as const,
      ),
    );
  shaders = new Map(variantsOf('f16').map((variant) => [variant.name, new Map(of(variant))]));
}, LIMIT);

const shadersOf = (variants: readonly string[]) => new Map(variants.flatMap((name) => [...shaders.get(name)!]));

describe.each(engines)('the front end of $title', { timeout: LIMIT }, (engine) => {
  beforeEach(({ skip }) => need(engine, skip));

  it(`takes every kernel of ${VARIANTS[engine.name].join(' and ')}`, async () => {
    const given = shadersOf(VARIANTS[engine.name]);
    const places = [...given.values()];
    const found = await objections(engine, [...given.keys()]);
    expect(found).toHaveLength(places.length);
    expect(found.flatMap((text, i) => (text ? [`${places[i]}: ${text}`] : []))).toEqual([]);
  });

  it('objects to what is none', async () => {
    expect(await objections(engine, ['fn main() { let x: u32 = 1.5; }'])).toEqual([expect.stringMatching(/1/)]);
  });
});

it('Tint takes every kernel of all variants', { timeout: LIMIT }, async () => {
  const check = await shaderCheck(['shader-f16', 'subgroups']);
  for (const [code, place] of shadersOf([...shaders.keys()])) expect([place, ...(await check(code))]).toEqual([place]);
});
