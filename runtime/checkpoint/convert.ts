/**
 * What a converted checkpoint holds, and what becomes of each tensor on the way: planned from the names and shapes alone, before
 * anything is written. Values then pass as their own bytes, unless they are cast.
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, decodeNumbers, elementCount, isFloat, type DType } from './dtype.ts';
import { encodeValues, type Values } from './encode.ts';
import { asModel, type Fixed, type LaidOut, type StoredAs } from './layout.ts';
import { matchParameters, type ParameterSpec } from './match.ts';
import type { TensorFile, TensorInfo } from './source.ts';
import type { TensorToWrite } from './tensor-write.ts';
import { Wrapped } from './wrapped.ts';

/**
 * What is done with a tensor. `kept`: nothing. `folded`: one of several equal copies is taken. `computed`: the file lacks it, and
 * has what the model computes. `left out`: the layout has no place for it. `extra`: the model has no use for it. `unread`: of a type
 * that is not read.
 */
export type Action =
  'kept' | 'renamed' | 'split' | 'joined' | 'copied' | 'folded' | 'computed' | 'left out' | 'extra' | 'unread';

export interface Change {
  readonly action: Action;
  readonly from: readonly string[];
  readonly to: readonly string[];
}

export interface Cast {
  readonly name: string;
  readonly from: DType;
  readonly to: DType;
}

export interface Conversion {
  readonly tensors: readonly TensorToWrite[];
  readonly changes: readonly Change[];
  readonly casts: readonly Cast[];
  readonly notes: readonly string[];
}

/** The model whose parameters the file holds. */
export interface ConvertedModel {
  readonly params: readonly (ParameterSpec & LaidOut)[];
  readonly fixed?: Fixed;
  /** What the model computes of a parameter that a file may lack. */
  computed(name: string): Float32Array;
}

export interface ConvertOptions {
  readonly model?: ConvertedModel;
  /** The layout to be written; the model's own names unless told. */
  readonly layout?: string;
  /** What floats become; they stay what they are unless told. */
  readonly dtype?: DType;
}

/** A tensor of the result before its type is settled. */
interface Made {
  readonly info: TensorInfo;
  readonly read: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** @throws RuntimeError `mismatch` where the file is not the model's, or two tensors would get one name. */
export async function planConversion(file: TensorFile, options: ConvertOptions): Promise<Conversion> {
  const { model, layout, dtype } = options;
  const changes: Change[] = [];
  const notes: string[] = [];
  const made = model ? await ofModel(file, model, layout, changes, notes) : asTheyAre(file, changes);
  for (const name of file.unread?.keys() ?? []) changes.push({ action: 'unread', from: [name], to: [] });
  const casts: Cast[] = [];
  const tensors = made.map(({ info, read }): TensorToWrite => {
    if (!dtype || !isFloat(info.dtype) || info.dtype === dtype) return { ...info, chunks: read };
    casts.push({ name: info.name, from: info.dtype, to: dtype });
    return { ...info, dtype, chunks: () => castChunks(info, dtype, read()) };
  });
  return { tensors, changes, casts, notes };
}

/** Every tensor of the file, by its name without wrappers'. */
function asTheyAre(file: TensorFile, changes: Change[]): Made[] {
  const wrapped = new Wrapped(file);
  return [...file.tensors.values()].map((info) => {
    const name = wrapped.bare(info.name);
    changes.push({ action: name === info.name ? 'kept' : 'renamed', from: [info.name], to: [name] });
    return { info: { ...info, name }, read: () => file.readRaw(info.name) };
  });
}

/** The model's parameters, as `layout` stores them. */
async function ofModel(
  given: TensorFile,
  { params, fixed, computed }: ConvertedModel,
  layout: string | undefined,
  changes: Change[],
  notes: string[],
): Promise<Made[]> {
  const { file, copies, notes: read } = await asModel(given, params, fixed);
  const { tensors, extra } = matchParameters(file, params);
  notes.push(...read);
  const made = params.flatMap((param, i): Made[] => {
    const found = tensors[i];
    const stored: StoredAs = layout === undefined ? [[param.name]] : param.layouts![layout];
    const from = found ? (copies.get(param.name) ?? file.originsOf?.(found.name) ?? [found.name]) : [];
    const to = stored.flat();
    const isFolded = copies.has(param.name);
    changes.push({ action: actionOf(found ? from : [], stored, isFolded), from, to });
    return partsOf(param, stored).flatMap(({ names, shape, first, count }) =>
      names.map((name): Made => {
        if (found) {
          const { dtype } = found;
          return { info: { name, dtype, shape }, read: () => file.readRaw(found.name, first, count) };
        }
        const values = () => [encodeValues('f32', computed(param.name).slice(first, first + count), param.name)];
        return { info: { name, dtype: 'f32', shape }, read: values };
      }),
    );
  });
  for (const name of extra) changes.push({ action: 'extra', from: file.originsOf?.(name) ?? [name], to: [] });
  return made;
}

function actionOf(from: readonly string[], stored: StoredAs, isFolded: boolean): Action {
  const to = stored.flat();
  if (!to.length) return 'left out';
  if (!from.length) return 'computed';
  if (from.join('\n') === to.join('\n')) return 'kept';
  if (stored.length > 1) return 'split';
  if (to.length > 1) return 'copied';
  return isFolded ? 'folded' : from.length > 1 ? 'joined' : 'renamed';
}

interface Part {
  readonly names: readonly string[];
  readonly shape: number[];
  readonly first: number;
  readonly count: number;
}

/** Where in a parameter each of its parts is: as many rows each. */
function partsOf({ name, shape }: ParameterSpec, stored: StoredAs): Part[] {
  if (stored.length === 1) return [{ names: stored[0], shape: [...shape], first: 0, count: elementCount(shape) }];
  const rows = shape[0] / stored.length;
  if (!Number.isInteger(rows) && stored.length) {
    const what = `${name} [${shape.join(', ')}] does not divide into ${stored.length} parts`;
    throw new RuntimeError({ code: 'mismatch', what, fix: 'correct the layout of the model file' });
  }
  const count = elementCount([rows, ...shape.slice(1)]);
  return stored.map((names, i) => ({ names, shape: [rows, ...shape.slice(1)], first: i * count, count }));
}

/** @throws RuntimeError `out-of-range` for a finite value that the type cannot hold. */
async function* castChunks(
  { name, dtype: from }: TensorInfo,
  to: DType,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of chunks) {
    const values = decodeNumbers(from, bytes) as Values;
    const made = encodeValues(to, values, name);
    if (DTYPE_BYTES[to] < DTYPE_BYTES[from] || to === 'f16') checkOverflow(name, values, to, made);
    yield made;
  }
}

function checkOverflow(name: string, values: Values, to: DType, made: Uint8Array): void {
  const cast = decodeNumbers(to, made);
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(Number(cast[i])) || !Number.isFinite(Number(values[i]))) continue;
    const what = `${quote(name)} holds ${String(values[i])}, which ${to} cannot`;
    const fix = to === 'f16' ? 'cast to bf16, or keep f32: leave --dtype out' : 'leave --dtype out';
    throw new RuntimeError({ code: 'out-of-range', what, why: `it would become infinite`, fix });
  }
}
