/**
 * The types of kernel values, written as text that compares: `f32`, `vec4h` as WGSL has it, `fragment<f16,16,8,left>` of 16 rows and 8
 * columns. What a type is made of, `shapeOf` says.
 */
export type ScalarType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool';

type Suffix = 'f' | 'h' | 'i' | 'u' | 'b';
export type VectorType = `vec${2 | 3 | 4}${Suffix}`;

/** Which place in result += left · right a fragment of a matrix has. */
export type FragmentUse = 'left' | 'right' | 'result';
export type FragmentType = `fragment<${ScalarType},${number},${number},${FragmentUse}>`;

export type ValueType = ScalarType | VectorType | FragmentType;

/** What an array holds. */
export type ElementType = ScalarType | VectorType;

const SUFFIX: Readonly<Record<ScalarType, Suffix>> = { f32: 'f', f16: 'h', i32: 'i', u32: 'u', bool: 'b' };
const SCALAR = Object.fromEntries(Object.entries(SUFFIX).map(([type, suffix]) => [suffix, type])) as Record<
  Suffix,
  ScalarType
>;

export const vec = (of: ScalarType, lanes: 2 | 3 | 4): VectorType => `vec${lanes}${SUFFIX[of]}`;

export const fragment = (of: ScalarType, rows: number, columns: number, use: FragmentUse): FragmentType =>
  `fragment<${of},${rows},${columns},${use}>`;

export interface Shape {
  readonly of: ScalarType;
  /** 1 of a scalar. */
  readonly lanes: number;
  readonly fragment?: { readonly rows: number; readonly columns: number; readonly use: FragmentUse };
}

export function shapeOf(type: ValueType): Shape {
  const vector = /^vec(\d)(\w)$/.exec(type);
  if (vector) return { of: SCALAR[vector[2] as Suffix], lanes: Number(vector[1]) };
  const matrix = /^fragment<(\w+),(\d+),(\d+),(\w+)>$/.exec(type);
  if (!matrix) return { of: type as ScalarType, lanes: 1 };
  const [, of, rows, columns, use] = matrix;
  return {
    of: of as ScalarType,
    lanes: 1,
    fragment: { rows: Number(rows), columns: Number(columns), use: use as FragmentUse },
  };
}

export const isFragment = (type: ValueType): type is FragmentType => type.startsWith('fragment');

/** The same with other scalars in it. */
export function withScalar(type: ElementType, of: ScalarType): ElementType {
  const { lanes } = shapeOf(type);
  return lanes === 1 ? of : vec(of, lanes as 2 | 3 | 4);
}
