/** Where `ditc sample` puts its samples: a grid, a picture each, or the raw values. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../compiler/dsl/model.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { writeAtomically } from '../runtime/node/file.ts';
import { allFinite, describeNonFinite, findNonFinite } from '../runtime/values.ts';
import type { Terminal } from './terminal.ts';
import { checkUnlocked, lockFolder } from '../runtime/node/lock.ts';
import { UsageError } from './errors.ts';
import { writeNpy } from './npy.ts';
import { checkOutputFile, checkOutputFolder } from './out-path.ts';
import { encodeGrid, encodePng, toPictures, type GridLayout, type Picture } from './pictures.ts';
import type { Samples } from '../runtime/sample.ts';
import { plural } from './text.ts';

/** How the place is to be filled. */
export interface SinkOptions extends GridLayout {
  /** What is in a folder from a former run is replaced. */
  readonly overwrite?: boolean;
  /** Samples that are infinite or NaN are told, not refused. */
  readonly allowNonFinite?: boolean;
}

export interface Sink {
  /** Throws when the model's samples [C,H,W] cannot go there. Called before sampling. */
  check(model: Model, name: string, shape: readonly number[]): void;
  add(samples: Samples): Promise<void>;
  /** Called once after the last samples; what holds all of them in one file is written here. */
  end(): Promise<void>;
  /** Called at last, also when something failed. */
  close(): void;
}

/** The sink that a path asks for by its ending, its place checked. It takes samples that are finite, unless told otherwise. */
export const sinkFor = (out: string, options: SinkOptions, terminal: Pick<Terminal, 'err'>): Sink =>
  finiteOnly(plainSink(out, options), options, terminal);

/** A sink that takes samples that are finite, unless told otherwise. */
export function finiteOnly(
  sink: Sink,
  options: Pick<SinkOptions, 'allowNonFinite'>,
  terminal: Pick<Terminal, 'err'>,
): Sink {
  return {
    ...sink,
    async add(samples) {
      for (const [sample, why] of nonFiniteIn(samples)) {
        if (!options.allowNonFinite) throw nonFiniteSample(sample, why);
        terminal.err(`note: ${sample}: ${why}`);
      }
      await sink.add(samples);
    },
  };
}

/** The samples that are not finite: which, and what of it. */
function nonFiniteIn({ first, shape: [, ...shape], values }: Samples): [sample: string, why: string][] {
  if (allFinite(values)) return [];
  const size = shape.reduce((a, b) => a * b);
  return Array.from({ length: values.length / size }, (_, i) => i).flatMap((i): [string, string][] => {
    const found = findNonFinite(values.subarray(i * size, (i + 1) * size));
    return found ? [[`sample ${first + i}`, describeNonFinite(shape, found)]] : [];
  });
}

function nonFiniteSample(where: string, what: string): DitcError {
  const why = 'the model overflowed, or what it was given is not finite';
  const fix =
    'check the weights; ditc doctor tests whether the adapter computes right; to go on all the same, --allow-non-finite';
  return new DitcError({ code: 'not-finite', where, what, why, fix });
}

function plainSink(out: string, { overwrite = false, ...layout }: SinkOptions): Sink {
  if (/\.(jpe?g|gif|webp|bmp|npz|safetensors)$/i.test(out)) {
    throw new UsageError({ what: `--out is ${out}`, fix: 'give FILE.png, FILE.npy or a folder' });
  }
  const isFile = /\.(png|npy)$/i.test(out);
  if (isFile) checkOutputFile(out);
  if (isFile && overwrite) {
    throw new UsageError({
      what: '--overwrite is for a folder',
      why: 'a file is replaced anyway',
      fix: 'leave it out',
    });
  }
  const ofGrid = (['columns', 'scale'] as const).find((name) => layout[name] !== undefined);
  if (ofGrid && !/\.png$/i.test(out)) {
    throw new UsageError({ what: `--${ofGrid} is for a grid`, fix: 'give --out FILE.png, or leave it out' });
  }
  if (/\.npy$/i.test(out)) return arraySink(out);
  return isFile ? gridSink(out, layout) : folderSink(out, overwrite);
}

/** All samples in one array [N,C,H,W], latents too. */
function arraySink(out: string): Sink {
  const parts: Samples[] = [];
  return {
    check() {},
    add: async (samples) => void parts.push(samples),
    async end() {
      const count = parts.reduce((sum, { values }) => sum + values.length, 0);
      const all = new Float32Array(count);
      let at = 0;
      for (const { values } of parts) {
        all.set(values, at);
        at += values.length;
      }
      const [{ shape: image }] = parts;
      const shape = [parts.reduce((sum, part) => sum + part.shape[0], 0), ...image.slice(1)];
      await writeNpy(out, { name: 'samples', dtype: 'f32', shape }, all);
    },
    close() {},
  };
}

function gridSink(out: string, layout: GridLayout): Sink {
  const pictures: Picture[] = [];
  return pictureSink(
    async (made) => void pictures.push(...made),
    async () => {
      const png = encodeGrid(pictures, layout);
      await writeAtomically(out, (write) => write(png));
    },
  );
}

/** The pictures of a former run in a folder. */
function picturesIn(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((name) => /^\d{6,}\.png$/.test(name)).sort();
}

/** @throws UsageError when the folder holds pictures: those of two runs could not be told apart. */
function checkNoPictures(out: string): void {
  const there = picturesIn(out);
  if (!there.length) return;
  const why = `${plural(there.length, 'picture')}, ${there[0]} the first: those of two runs could not be told apart`;
  const fix = 'give another --out, or replace them with --overwrite';
  throw new UsageError({ what: `--out: ${out} holds pictures already`, why, fix });
}

/** `000000.png`, …, written as they come: there may be more than memory holds. */
function folderSink(out: string, overwrite: boolean): Sink {
  checkOutputFolder(out);
  checkUnlocked(out);
  if (!overwrite) checkNoPictures(out);
  let unlock: (() => void) | undefined;
  /** Until the first pictures are there, the former ones stay. */
  const begin = () => {
    mkdirSync(out, { recursive: true });
    unlock = lockFolder(out, 'ditc, writing pictures');
    if (overwrite) for (const name of picturesIn(out)) rmSync(join(out, name));
    else checkNoPictures(out); // another process may have been quicker
  };
  return pictureSink(
    async (made, first) => {
      if (!unlock) begin();
      for (const [i, picture] of made.entries()) {
        const png = encodePng(picture);
        await writeAtomically(join(out, `${String(first + i).padStart(6, '0')}.png`), (write) => write(png));
      }
    },
    async () => {},
    () => unlock?.(),
  );
}

/** A sink of pictures, which `add` is given. */
export function pictureSink(
  add: (made: Picture[], first: number) => Promise<void>,
  end: () => Promise<void>,
  close = () => {},
): Sink {
  let range: readonly [number, number];
  return {
    check(model, name, [channels, height, width]) {
      const size = `[${channels}, ${height}, ${width}]`;
      const fix = 'save them as they are with --out FILE.npy';
      if (!model.picture) {
        const why = 'the model file declares no picture: an autoencoder decodes what it makes';
        const decode = `give it with --vae MODEL.ts, or ${fix}`;
        throw new DitcError({ code: 'latents', what: `${name} makes latents ${size}, not pictures`, why, fix: decode });
      }
      if (channels !== 1 && channels !== 3) {
        const why = 'a PNG has 1 channel (grey) or 3 (red, green, blue)';
        throw new DitcError({ code: 'latents', what: `${name} makes samples ${size}`, why, fix });
      }
      range = model.picture.range;
    },
    add: async ({ first, shape, values }) =>
      add(toPictures(values, shape, range, { first, allowNonFinite: true }), first),
    end,
    close,
  };
}
