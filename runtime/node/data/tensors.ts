/**
 * Tensors as a dataset: `x`, `latents` or `moments` with a row per example, and the labels `y`; as safetensors, `.npz`,
 * `.pt`, or `.npy` files side by side. Rows are read from the file as they are needed. Several files of one folder are
 * parts of one whole, in the order of their names.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { joinFiles } from '../../checkpoint/joined.ts';
import { openCheckpoint } from '../../checkpoint/open.ts';
import { openNpy, openNpz } from '../../checkpoint/npz.ts';
import type { ByteSource, TensorFile, TensorInfo } from '../../checkpoint/source.ts';
import {
  badExample,
  checkLabels,
  mirrored,
  type Content,
  type Dataset,
  type Draw,
  type Example,
} from '../../data/dataset.ts';
import { ENCODED } from '../../data/encoded.ts';
import { drawLatents } from '../../data/posterior.ts';
import { RuntimeError, quote } from '../../error.ts';
import { openFile } from '../file.ts';
import type { DataOptions } from './options.ts';

/** Names of the rows, and what is in them. */
const NAMES: Record<string, Content> = { x: 'pixels', latents: 'latents', moments: 'moments' };
export const TENSOR_FILE = /\.(safetensors|npz|npy|pt)$/i;

/** Rows first … first + count − 1 of the whole. */
interface Part {
  readonly path: string;
  readonly first: number;
  readonly count: number;
  readonly rows: Rows;
}

interface Rows {
  readonly name: string;
  readonly file: TensorFile;
  readonly info: TensorInfo;
  /** A tensor of the rows made from mirrored pictures, if the file has one. */
  readonly flipped: string | undefined;
}

/** A file of tensors of any kind that data may be in. */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const source = await openFile(path);
  try {
    return await byFormat(path, source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function byFormat(path: string, source: ByteSource): Promise<TensorFile> {
  if (/\.npz$/i.test(path)) return openNpz(source);
  if (/\.npy$/i.test(path)) return openNpy(source, basename(path).replace(/\.npy$/i, ''));
  return openCheckpoint(source);
}

/** The rows in a file: the one of the known names that is there. */
function rowsOf(file: TensorFile): Rows {
  const found = Object.keys(NAMES).filter((name) => file.tensors.has(name));
  // A lone .npy is what it is called.
  const name =
    found.length === 0 && file.tensors.size === 1 && /\.npy$/i.test(file.name) ? [...file.tensors.keys()][0] : found[0];
  if (found.length <= 1 && name !== undefined) {
    const flipped = `${name}_flipped`;
    const info = file.tensors.get(name)!;
    const same = file.tensors.get(flipped)?.shape.join() === info.shape.join();
    return { name, file, info, flipped: same ? flipped : undefined };
  }
  const names = [...file.tensors.keys()].slice(0, 6).map((n) => quote(n));
  throw new RuntimeError({
    code: 'no-data',
    where: file.name,
    what: found.length ? `it holds ${found.join(' and ')}` : 'it holds no examples',
    why: found.length ? 'only one of them can be trained on' : `its tensors are ${names.join(', ') || 'none'}`,
    fix: `name the tensor [N,C,H,W] x (pixels), latents or moments, and its labels [N] y`,
  });
}

function checkRows({ file, info, name }: Rows, content: Content, [C, H, W]: readonly number[]): void {
  const wanted = content === 'moments' ? [2 * C, H, W] : [C, H, W];
  const floats = info.dtype === 'f32' || info.dtype === 'f16' || info.dtype === 'bf16' || info.dtype === 'f64';
  const fail = (what: string, why: string, fix: string) =>
    new RuntimeError({ code: 'mismatch', where: file.name, what, why, fix });
  if (info.shape.slice(1).join() !== wanted.join()) {
    const why = `it is [${info.shape.join(', ')}], the model takes [N, ${wanted.join(', ')}]`;
    throw fail(`${name} does not fit the model`, why, 'give the model the inputSize and inChannels of the data');
  }
  if (!floats && !(info.dtype === 'u8' && content === 'pixels')) {
    const why = `it holds ${info.dtype}; floats are taken as they are, u8 as pixels`;
    throw fail(`${name} does not fit the model`, why, 'store it as float32');
  }
}

/** The labels of a part; zeros for a file without, if the model can do without. */
async function labelsOf({ file }: Rows, count: number, classes: number | undefined): Promise<Int32Array> {
  const beside = join(dirname(file.name), 'y.npy');
  const labels = file.tensors.get('y');
  if (!labels) {
    if ((classes ?? 1) <= 1) return new Int32Array(count);
    const fix = `add a tensor y [${count}] of whole numbers${/\.npy$/i.test(file.name) ? `, as ${beside}` : ''}`;
    throw new RuntimeError({
      code: 'labels',
      where: file.name,
      what: 'there are no labels',
      why: `the model has ${classes} classes`,
      fix,
    });
  }
  const values = labels.shape.reduce((a, b) => a * b, 1);
  if (values === count) return file.readI32('y');
  const why = `y is [${labels.shape.join(', ')}] and there are ${count} examples`;
  throw new RuntimeError({
    code: 'mismatch',
    where: file.name,
    what: 'labels and examples disagree',
    why,
    fix: 'give one label for each row',
  });
}

/** A dataset of the files, which are all of one kind. `name` is what the user gave. */
export async function openTensors(name: string, paths: readonly string[], options: DataOptions): Promise<Dataset> {
  const files: TensorFile[] = [];
  try {
    for (const path of paths) files.push(await openTensorFile(path));
    // x.npy and y.npy are one file in two.
    const merged =
      paths.every((path) => /\.npy$/i.test(path)) && files.length > 1 ? [joinFiles(join(name, '*.npy'), files)] : files;
    return await datasetOf(name, merged, files, options);
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

async function datasetOf(
  name: string,
  files: readonly TensorFile[],
  owned: readonly TensorFile[],
  options: DataOptions,
): Promise<Dataset> {
  const { flip = false, onBad = 'refuse' } = options;
  const parts: Part[] = [];
  const labelParts: Int32Array[] = [];
  let count = 0;
  for (const file of files) {
    const rows = rowsOf(file);
    checkRows(rows, NAMES[rows.name] ?? 'pixels', options.shape);
    checkAlike(rows, parts[0]?.rows);
    if (flip) checkFlip(rows);
    const part = { path: file.name, first: count, count: rows.info.shape[0], rows };
    labelParts.push(await labelsOf(rows, part.count, options.classes));
    parts.push(part);
    count += part.count;
  }
  if (count === 0) {
    throw new RuntimeError({
      code: 'no-data',
      where: name,
      what: 'there are no examples in it',
      fix: 'give other data',
    });
  }
  const labels = new Int32Array(count);
  labelParts.forEach((part, i) => labels.set(part, parts[i].first));
  const partOf = (index: number) => parts.find(({ first, count: n }) => index < first + n)!;
  const nameOf = (index: number) => {
    const { path, first, rows } = partOf(index);
    return `row ${index - first} of ${rows.name} in ${path}`;
  };
  const content = NAMES[parts[0].rows.name] ?? 'pixels';
  const names = options.labels ?? classNames(parts[0].rows.file);
  const classes = checkLabels(labels, { ...options, labels: names }, name, nameOf);
  const scale = content === 'moments' ? latentScale(parts, options.latentScale) : 1;
  const draws = (values: Example, index: number, draw: Draw = FIRST_DRAW): Example =>
    content === 'moments' ? drawLatents(values as Float32Array, index, draw, scale) : values;
  return {
    name,
    content,
    count,
    shape: [...options.shape],
    classes,
    labels,
    flip,
    onBad,
    notes: [],
    fingerprint: fingerprintOf(parts, labels),
    filesOf: () => owned.map((file) => file.name),
    nameOf,
    read: async (index, mirror, draw) => draws(await readRow(partOf(index), index, mirror, nameOf), index, draw),
    close: async () => void (await Promise.all(owned.map((file) => file.close()))),
  };
}

const FIRST_DRAW: Draw = { seed: 0, epoch: 0 };

/** The names that `ditc encode` keeps. */
function classNames({ metadata }: TensorFile): string[] | undefined {
  const text = metadata[ENCODED.classes];
  if (text === undefined) return undefined;
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) && names.every((n) => typeof n === 'string') ? names : undefined;
  } catch {
    return undefined;
  }
}

/** What latents are multiplied with: as told, or as the files say. */
function latentScale(parts: readonly Part[], given: number | undefined): number {
  if (given !== undefined) return given;
  const scales = parts.map(({ rows }) => Number(rows.file.metadata[ENCODED.scale] ?? NaN));
  const odd = scales.findIndex((scale) => !(scale > 0 && scale < Infinity) || scale !== scales[0]);
  if (odd < 0) return scales[0];
  throw new RuntimeError({
    code: 'mismatch',
    where: parts[odd].path,
    what: Number.isNaN(scales[odd]) ? 'it does not say how latents are scaled' : `it scales latents by ${scales[odd]}`,
    why: 'latents are drawn from moments and multiplied with the VAE’s scaling factor',
    fix: 'give it, as in --latent-scale 0.18215, or encode the pictures with ditc encode',
  });
}

async function readRow(
  part: Part,
  index: number,
  mirror: boolean,
  nameOf: (index: number) => string,
): Promise<Example> {
  const { file, name, info, flipped } = part.rows;
  const size = info.shape.slice(1).reduce((a, b) => a * b, 1);
  const values = await file.readF32Range(mirror && flipped ? flipped : name, (index - part.first) * size, size);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw badExample(nameOf(index), `element ${wrong} is ${values[wrong]}`);
  const example = info.dtype === 'u8' ? Uint8Array.from(values) : values;
  return mirror && !flipped ? mirrored(example, info.shape[info.shape.length - 1]) : example;
}

function checkAlike(rows: Rows, first: Rows | undefined): void {
  if (!first || (rows.name === first.name && rows.info.dtype === first.info.dtype)) return;
  const why = `it holds ${rows.name} of ${rows.info.dtype}, ${first.file.name} has ${first.name} of ${first.info.dtype}`;
  const fix = 'put only the parts of one data set into the folder';
  throw new RuntimeError({ code: 'mismatch', where: rows.file.name, what: 'it is no part of the same data', why, fix });
}

/** The latent of a mirrored picture is not the mirrored latent: a VAE is not symmetric. */
function checkFlip({ file, name, flipped }: Rows): void {
  if ((NAMES[name] ?? 'pixels') === 'pixels' || flipped) return;
  throw new RuntimeError({
    code: 'mismatch',
    where: file.name,
    what: `${name} cannot be mirrored`,
    why: 'the latent of a mirrored picture is another one',
    fix: `train without flips, or add a tensor ${name}_flipped that was made from the mirrored pictures`,
  });
}

/** Of shapes and labels: the values may be more than anyone wants to read. */
function fingerprintOf(parts: readonly Part[], labels: Int32Array): string {
  const hash = createHash('sha256');
  for (const { path, rows } of parts)
    hash.update(`${basename(path)} ${rows.name} ${rows.info.dtype} ${rows.info.shape}\n`);
  return hash.update(labels).digest('hex').slice(0, 16);
}
