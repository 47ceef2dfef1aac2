/** What `ditc build --target web` writes: whole, small, the same each time, and nothing that a page cannot have. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { fitting, unfit } from '../../runtime/web/choose.ts';
import type { ModelFile, StoredFile, Variant, VariantFile } from '../../runtime/web/model-file.ts';
import { ChunkReader } from '../../runtime/web/tensors.ts';
import { PAGE_FILES } from '../../library/web/page.ts';
import { spoolFor, writeWebFolder } from '../../library/web/folder.ts';
import { OnDisk } from '../../library/written-folder.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { built, builtWith, weights } from './fixture.ts';

const scratch = scratchFolder();

let files: ReadonlyMap<string, string | Uint8Array>;
let model: ModelFile;
beforeAll(async () => void ({ files, model } = await built('f16')));

const bytesAt = (path: string) => Buffer.from(files.get(path) as Uint8Array);
const codeOf = (variant: Variant) => JSON.parse(bytesAt(variant.code.file).toString()) as VariantFile;

describe('a build for pages', () => {
  it('has every file that model.json names, by its size and SHA-256, and none besides but the page', () => {
    const named: StoredFile[] = [
      ...model.variants.map(({ code }) => code),
      ...Object.values(model.weights).flatMap(({ chunks }) => chunks),
    ];
    for (const { file, bytes, sha256 } of named) {
      expect(bytesAt(file)).toHaveLength(bytes);
      expect(createHash('sha256').update(bytesAt(file)).digest('hex')).toBe(sha256);
    }
    const page = ['model.json', 'runtime.js', ...PAGE_FILES];
    expect([...files.keys()].sort()).toEqual([...page, ...new Set(named.map(({ file }) => file))].sort());
  });

  it('has a runtime below 30 kB, without Node, a compiler, eval, wasm or another host', () => {
    const runtime = bytesAt('runtime.js').toString();
    expect(gzipSync(runtime, { level: 9 }).length).toBeLessThan(30_000);
    const code = [
      runtime,
      ...PAGE_FILES.filter((name) => name.endsWith('.js')).map((name) => bytesAt(name).toString()),
    ].join('\n');
    expect(code).not.toMatch(/["']node:|\brequire\(|\beval\(|new Function|WebAssembly|https?:\/\//);
    expect(bytesAt('index.html').toString()).not.toMatch(/https?:|<script(?![^>]*src=)|style=|<style/);
  });

  it('says what is black and what white, and a page paints by that; latents are called so', async () => {
    expect(model.picture).toEqual({ range: [-1, 1] });
    interface Canvas {
      painted?: number[];
      getContext(): { putImageData(image: { data: Uint8ClampedArray }): void };
    }
    const { kindOf, paintAll } = (await import(new URL('../../library/web/page/paint.js', import.meta.url).href)) as {
      kindOf(file: Pick<ModelFile, 'picture'>): { one: string; range?: readonly number[] };
      paintAll(canvases: Canvas[], values: object, range?: readonly number[]): void;
    };
    vi.stubGlobal(
      'ImageData',
      class {
        readonly data: Uint8ClampedArray;
        constructor(width: number, height: number) {
          this.data = new Uint8ClampedArray(4 * width * height);
        }
      },
    );
    const grey = (file: Pick<ModelFile, 'picture'>, values: number[]) => {
      const canvas: Canvas = {
        getContext: () => ({ putImageData: ({ data }) => void (canvas.painted = [...data]) }),
      };
      paintAll([canvas], { data: Float32Array.from(values), shape: [1, 1, 1, values.length] }, kindOf(file).range);
      return canvas.painted!.filter((_, i) => i % 4 === 0);
    };
    expect(grey({ picture: { range: [-1, 1] } }, [-1, 1, 0.2])).toEqual([0, 255, 153]);
    expect(grey({ picture: { range: [0, 1] } }, [0, 1, 0.2])).toEqual([0, 255, 51]);
    // Latents have no black and no white: all of their values are seen.
    expect(kindOf({})).toMatchObject({ one: 'Latent' });
    expect(grey({}, [-5, 5, 1])).toEqual([0, 255, 153]);
    vi.unstubAllGlobals();
  });

  it('says what each variant needs, the best first and the last for any device', () => {
    expect(model.variants.map(({ name }) => name)).toEqual(['f16-sg', 'f16', 'sg', 'base']);
    expect(model.variants.at(-1)).toMatchObject({ features: [], limits: {}, hardware: false });
    for (const variant of model.variants) {
      const needed = Object.values(codeOf(variant).artefact.manifest.kernels).flatMap(({ features }) => features);
      expect(variant.features).toEqual([...new Set(needed)].sort());
      expect(variant.features.includes('shader-f16')).toBe(variant.name.startsWith('f16'));
    }
  });

  it('without f16 asked for multiplies no f16; what it shares with the other build is the same', async () => {
    const full = await built();
    expect(full.model.variants).toEqual(model.variants.slice(2));
    expect(full.model.weights).toEqual({ f32: model.weights.f32 });
    for (const { code } of full.model.variants) expect(full.files.get(code.file)).toBe(files.get(code.file));
  });

  it('brings every weight in the order of its first use, whole', async () => {
    for (const [dtype, { chunks, tensors }] of Object.entries(model.weights)) {
      const reader = new ChunkReader(served(chunks));
      for (const tensor of tensors) {
        const found: number[] = [];
        for await (const part of reader.values(tensor)) found.push(...part);
        const expected = weights[tensor.name];
        expect(found).toHaveLength(expected.length);
        const step = dtype === 'f16' ? 2 ** -11 : 0;
        expect(
          found.every((value, i) => Math.abs(value - expected[i]) <= step * Math.abs(expected[i]) + 2 ** -25),
        ).toBe(true);
      }
      expect(tensors.map(({ name }) => name).sort()).toEqual(Object.keys(weights).sort());
    }
    expect(model.weights.f32.tensors[0].name).toMatch(/embed/);
  });

  it('has its weights on the disk until its folder is written, and leaves nothing beside that', async () => {
    const parent = scratch({});
    const out = join(parent, 'not/yet/there');
    const spool = spoolFor(out);
    const spooled = await builtWith(spool.keep);
    writeWebFolder(out, spooled.files);
    spool.discard();
    const [chunk] = spooled.model.weights.f32.chunks;
    expect(spooled.files.get(chunk.file)).toBeInstanceOf(OnDisk);
    expect(readFileSync(join(out, chunk.file))).toEqual(bytesAt(chunk.file));
    expect(readdirSync(parent)).toEqual(['not']);
  });

  it('holds a self-test of three kinds of kernels, below 64 kB', () => {
    for (const variant of model.variants) {
      const { selfTest } = codeOf(variant);
      expect(Object.keys(selfTest.expected).sort()).toEqual(['attention', 'normed', 'product']);
      expect(JSON.stringify(selfTest).length).toBeLessThan(64_000);
    }
  });
});

async function* served(chunks: readonly StoredFile[]) {
  for (const { file } of chunks) yield await Promise.resolve(Uint8Array.from(bytesAt(file)));
}

describe('the choice of a variant', () => {
  const adapter = (features: string[], [min, max]: number[], isFallbackAdapter = false) =>
    ({
      features: new Set(features),
      info: {
        subgroupMinSize: min,
        subgroupMaxSize: max,
        isFallbackAdapter,
        device: '',
        description: '',
        architecture: '',
      },
      limits: {},
    }) as unknown as GPUAdapter;
  const chosen = (given: GPUAdapter) => fitting(model.variants, given).chosen[0].name;

  it('takes the best that the GPU runs', () => {
    expect(chosen(adapter(['shader-f16', 'subgroups'], [32, 32]))).toBe('f16-sg');
    expect(chosen(adapter(['shader-f16'], [32, 32]))).toBe('f16');
    expect(chosen(adapter(['shader-f16', 'subgroups'], [8, 32]))).toBe('f16');
    expect(chosen(adapter(['subgroups'], [32, 32]))).toBe('sg');
    expect(chosen(adapter([], [4, 128]))).toBe('base');
  });

  it('takes the plainest on software, which compiles the others for minutes', () => {
    expect(chosen(adapter(['shader-f16', 'subgroups'], [32, 32], true))).toBe('base');
  });

  it('says why a variant does not run', () => {
    const [best] = model.variants;
    expect(unfit(best, adapter(['shader-f16'], [32, 32]))).toBe('the GPU has no subgroups');
    expect(unfit(best, adapter(['shader-f16', 'subgroups'], [8, 32]))).toBe(
      'its subgroups are of 8 to 32 lanes, not 32',
    );
    expect(() => fitting([best], adapter([], [4, 128]))).toThrow(/f16-sg: the GPU has no shader-f16/);
  });
});
