/** What an ONNX network is given: types, and shapes of which some sizes are left open. */
import type { DType, EntryOptions, Tensor } from '../../compiler/dsl/index.ts';
import { DitcError, formatShape } from '../../compiler/ir/index.ts';
import type { ValueInfoProto } from '../../runtime/onnx/messages.ts';
import { dtypeName, dtypeOf } from '../../runtime/onnx/tensor.ts';
import { computedAs, tensorValue, type Value } from './value.ts';

export interface InputSpec {
  readonly name: string;
  /** What the file calls it. */
  readonly file: string;
  readonly dtype: DType;
  /** A size, or what it is called where it is left open. */
  readonly sizes: readonly (number | string)[];
  /** The sizes as an entry is built: the first open one is the batch, those of pictures are `height` and `width`. */
  shape(options: EntryOptions): number[];
}

/** `names` are what they are called, by the file's names. */
export const inputSpecs = (
  inputs: readonly ValueInfoProto[],
  names: ReadonlyMap<string, string>,
  where: string,
): InputSpec[] => inputs.map((input) => specOf(input, names.get(input.name)!, where));

function specOf({ name: file, type }: ValueInfoProto, name: string, where: string): InputSpec {
  const { elemType = 0, shape } = type?.tensorType ?? {};
  const fail = (what: string, fix: string, why?: string) =>
    new DitcError({ code: 'unsupported', where, what: `its input ${name} ${what}`, why, fix });
  const dtype = dtypeOf(elemType);
  if (!dtype) throw fail(`is of ${dtypeName(elemType)}`, 'export it with inputs of float32 or int64');
  if (!shape) throw fail('has no shape', 'export it with one, if need be with open sizes');
  const sizes = shape.dim.map(({ dimValue, dimParam }, i) =>
    dimValue && dimValue > 0 ? dimValue : dimParam || `${name}[${i}]`,
  );
  return {
    name,
    file,
    dtype: computedAs(dtype),
    sizes,
    shape: (options) =>
      sizes.map((size, i) => {
        if (typeof size === 'number') return size;
        const found = openSize(size, i, sizes.length, options);
        if (found !== undefined) return found;
        const why = `it is ${formatShape(sizes as number[])}`;
        throw fail(`leaves ${size} open`, `export it with a size for it, or compile it with the option ${size}`, why);
      }),
  };
}

/** Options that open sizes take from arrays for inputs, by the inputs' names. */
export function sizesFrom(
  inputs: readonly InputSpec[],
  shapes: ReadonlyMap<string, readonly number[]>,
): Record<string, number> {
  const found = inputs.flatMap(({ name, sizes }) =>
    sizes.flatMap((size, i) => {
      const given = shapes.get(name)?.[i];
      return typeof size === 'string' && given !== undefined ? [[size, given] as const] : [];
    }),
  );
  return Object.fromEntries(found);
}

/** The size that is given for an open one: by its own name, or as the batch, height or width that it is. */
function openSize(name: string, axis: number, rank: number, options: EntryOptions): number | undefined {
  const usual = axis === 0 ? 'batch' : rank === 4 ? ['', '', 'height', 'width'][axis] : '';
  const given = options[name] ?? (usual ? options[usual] : undefined);
  return Number.isSafeInteger(given) && (given as number) >= 1 ? (given as number) : undefined;
}

export const inputValue = (tensor: Tensor): Value => tensorValue(tensor);
