/** What graphs consist of: tensors have a dtype and a static shape, nodes are made of others, and bodies of loops are graphs. */
export const DTYPES = ['f32', 'f16', 'i32', 'u32', 'bool'] as const;
export type DType = (typeof DTYPES)[number];
export type Shape = readonly number[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Dense data of a constant, row-major. Kept in float64 so that the interpreter sees what the model file wrote. */
export type DenseData = Float64Array;
/** A graph is the body of a loop. */
export type AttrValue = number | string | boolean | readonly number[] | DenseData | Graph;
export type Attrs = Readonly<Record<string, AttrValue>>;

export interface Node {
  /** Creation order in its builder, hence a topological order. */
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly Node[];
  readonly attrs: Attrs;
  readonly type: TensorType;
  /**
   * Of a value that is computed once more (compiler/recompute), for which time that is: another node than the one it repeats, and
   * computed only when it is wanted. Without it, equal applications are one node.
   */
  readonly copy?: number;
  /** The TypeScript variable the value was bound to, when there is one. */
  name?: string;
  /** `file:line:col` of the call that made it. */
  loc?: string;
  /** The composite op it was expanded from. */
  origin?: string;
}

export interface Output {
  readonly name: string;
  readonly node: Node;
}

/** A named piece of state and the value it holds after the graph has run. */
export interface Update {
  readonly state: Node;
  readonly node: Node;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly Node[];
  readonly outputs: readonly Output[];
  readonly updates: readonly Update[];
  /** Of what is run as a part of another graph (rewrite/divide.ts). */
  readonly part?: Part;
}

/** A part runs so many times in a row, each time that the whole is run and before what comes after it in the whole. */
export interface Part {
  readonly of: string;
  readonly times: number;
}

export const isGraph = (value: unknown): value is Graph =>
  typeof value === 'object' && value !== null && 'updates' in value;

export const isFloat = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f16';
export const isInteger = (dtype: DType): boolean => dtype === 'i32' || dtype === 'u32';

/** The whole numbers of a dtype that holds no others. */
const RANGES: Readonly<Partial<Record<DType, readonly [least: number, most: number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  bool: [0, 1],
};

/** What a number must be to be a value of the dtype, if it is not. */
export function valueRule(value: number, dtype: DType): string | undefined {
  const range = RANGES[dtype];
  if (!range || (Number.isInteger(value) && value >= range[0] && value <= range[1])) return undefined;
  return `a whole number from ${range[0]} to ${range[1]}, as ${dtype} holds`;
}

/** Bytes an element takes in a storage buffer (bool is stored as u32). */
export const bytesPerElement = (dtype: DType): number => (dtype === 'f16' ? 2 : 4);

export const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);
export const byteSize = (type: TensorType): number => sizeOf(type.shape) * bytesPerElement(type.dtype);
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

export const formatShape = (shape: Shape): string => `[${shape.join(',')}]`;
export const formatType = (type: TensorType): string => type.dtype + formatShape(type.shape);

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** NumPy broadcasting of shapes; null when they do not agree. */
export function broadcastShapes(...shapes: Shape[]): Shape | null {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    let size = 1;
    for (const shape of shapes) {
      const n = shape[i - rank + shape.length] ?? 1;
      if (n !== 1 && size !== 1 && n !== size) return null;
      if (n !== 1) size = n;
    }
    out.push(size);
  }
  return out;
}
