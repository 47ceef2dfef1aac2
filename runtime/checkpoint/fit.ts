/**
 * What of a checkpoint fits a model that it was not made for, as fine-tuning asks: parameters of the same name and shape are taken
 * as they are, those that the model lets (`resize`) from another size, and the rest keep their first values.
 */
import type { ParamSpec } from '../../compiler/emit/artefact.ts';
import { resampleGrid } from './grid.ts';
import {
  castNotes,
  describeShape,
  findTensor,
  fits,
  matchParameters,
  type ParameterSpec,
  type WrongShape,
} from './match.ts';
import type { TensorFile, TensorInfo } from './source.ts';
import { listed } from './suggest.ts';
import { Wrapped } from './wrapped.ts';

/** How one parameter comes from the file: whole, or `read` from another size over the values that it has. */
export interface Fitted {
  readonly info: TensorInfo;
  readonly read?: (own: Float32Array) => Promise<Float32Array>;
}

export interface Fit {
  /** In the order of the parameters; undefined for those that keep their first values. */
  readonly found: readonly (Fitted | undefined)[];
  readonly notes: readonly string[];
}

type Param = ParameterSpec & Pick<ParamSpec, 'resize'>;

/**
 * Matches what can be.
 * @throws RuntimeError `mismatch` when no matrix of the model is in the file: it is of another family.
 */
export function fitParameters(file: TensorFile, params: readonly Param[]): Fit {
  const wrapped = new Wrapped(file);
  const missing: string[] = [];
  const wrong: WrongShape[] = [];
  const known = new Set<string>();
  const resized: string[] = [];
  let matrices = 0;
  const found = params.map((param): Fitted | undefined => {
    const info = findTensor(file, param, wrapped);
    if (!info) {
      if (!param.computed) missing.push(`${param.name}: the file lacks it`);
      return undefined;
    }
    known.add(info.name);
    if (fits(info, param)) {
      if (param.shape.length > 1 && !param.computed) matrices++;
      return { info };
    }
    const other = resizedFrom(file, info, param);
    if (other) resized.push(other.note);
    else wrong.push({ name: param.name, expected: param.shape, found: info.shape });
    return other?.fitted;
  });
  if (!matrices) matchParameters(file, params); // which tells all that differs
  const taken = found.flatMap((one) => (one ? [one.info] : []));
  const extra = [...file.tensors.values()].filter(({ name }) => !known.has(name));
  const whole = found.filter((one) => one && !one.read).length;
  const told = [
    `${file.name}: ${whole} of ${params.length} parameters are taken as they are`,
    ...listed('of another size', resized, (line) => line),
    ...listed('begin anew', [...wrong.map(describeShape), ...missing], (line) => line),
    ...listed('of the file are not used', extra, ({ name, shape }) => `${name} [${shape.join(', ')}]`),
  ];
  return { found, notes: [told.join('\n'), ...castNotes(file.name, taken)] };
}

interface Other {
  readonly fitted: Fitted;
  readonly note: string;
}

/** Values of another size, where the model says what is kept of them. */
function resizedFrom(file: TensorFile, info: TensorInfo, param: Param): Other | undefined {
  if (info.shape.length !== param.shape.length) return undefined;
  return param.resize?.kind === 'rows' ? rowsOf(file, info, param) : param.resize && gridOf(file, info, param);
}

function rowsOf(file: TensorFile, info: TensorInfo, { name, shape, resize }: Param): Other | undefined {
  if (info.shape.slice(1).join() !== shape.slice(1).join()) return undefined;
  const last = resize?.kind === 'rows' ? (resize.last ?? 0) : 0;
  const [theirs, ours] = [info.shape[0], shape[0]];
  if (theirs < last) return undefined;
  const shared = Math.min(theirs, ours) - last;
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  const read = async (own: Float32Array): Promise<Float32Array> => {
    own.set(await file.readF32Range(info.name, 0, shared * width));
    const tail = await file.readF32Range(info.name, (theirs - last) * width, last * width);
    own.set(tail, (ours - last) * width);
    return own;
  };
  const ends = last ? ` and the last${last > 1 ? ` ${last}` : ''}` : '';
  const note = `${name}: the first ${shared} rows${ends} are kept, of ${theirs} in the file and ${ours} in the model`;
  return { fitted: { info, read }, note };
}

function gridOf(file: TensorFile, info: TensorInfo, { name, shape }: Param): Other | undefined {
  const axes = shape.flatMap((size, axis) => (size === info.shape[axis] ? [] : [axis]));
  if (axes.length !== 1) return undefined;
  const [axis] = axes;
  const [from, to] = [Math.sqrt(info.shape[axis]), Math.sqrt(shape[axis])];
  if (!Number.isInteger(from) || !Number.isInteger(to) || !from) return undefined;
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  const [before, inner] = [product(shape.slice(0, axis)), product(shape.slice(axis + 1))];
  const read = async (own: Float32Array): Promise<Float32Array> => {
    const values = await file.readF32(info.name);
    const [theirs, ours] = [from * from * inner, to * to * inner];
    for (let i = 0; i < before; i++)
      own.set(resampleGrid(values.subarray(i * theirs, (i + 1) * theirs), from, to, inner), i * ours);
    return own;
  };
  return { fitted: { info, read }, note: `${name}: resampled from a grid of ${from}×${from} to ${to}×${to}` };
}
