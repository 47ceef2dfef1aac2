/** The Tensor a model file computes with. Each method appends one op (or a few) to the trace; nothing is computed. */
import { DitcError, formatShape, isFloat, isInteger, sizeOf, type DType, type Node, type Shape } from '../ir/index.ts';
import { currentPlace, currentTrace } from './trace.ts';

/** A tensor, or a number for all elements. */
export type Operand = Tensor | number;

const f = () => currentTrace().f;
const raw = (x: Operand): Node | number => (typeof x === 'number' ? x : x.node);

function misuse(what: string, why?: string, fix?: string): DitcError {
  return new DitcError({ code: 'shape', where: currentPlace(), what, why, fix });
}

/** A value of the model: an array of known shape. Methods take an `Operand` where a tensor or a number will do. */
export class Tensor {
  readonly node: Node;

  constructor(node: Node) {
    this.node = node;
  }

  /** Sizes of the axes, known when the model is built: plain numbers. */
  get shape(): number[] {
    return [...this.node.type.shape];
  }

  /** f32, f16, i32, u32 or bool. */
  get dtype(): DType {
    return this.node.type.dtype;
  }

  /** Number of axes. */
  get rank(): number {
    return this.node.type.shape.length;
  }

  /** x + y, and so on: operands broadcast as NumPy's do, and may be numbers. */
  add = (y: Operand) => new Tensor(f().add(this.node, raw(y)));
  /** x − y. */
  sub = (y: Operand) => new Tensor(f().sub(this.node, raw(y)));
  /** x·y, element by element. */
  mul = (y: Operand) => new Tensor(f().mul(this.node, raw(y)));
  /** x / y. */
  div = (y: Operand) => new Tensor(f().div(this.node, raw(y)));
  /** xʸ; NaN where x < 0 and y is no whole number. */
  pow = (y: Operand) => new Tensor(typeof y === 'number' ? power(this.node, y) : f().pow(this.node, y.node));
  /** The larger of x and y, element by element (`max` is along axes). */
  maximum = (y: Operand) => new Tensor(f().max(this.node, raw(y)));
  /** The smaller of x and y. */
  minimum = (y: Operand) => new Tensor(f().min(this.node, raw(y)));
  /** Limits every element to [lo, hi]; the gradient is x's there, both ends included, and 0 beyond. */
  clamp = (lo: number, hi: number) => new Tensor(f().op('clamp', [this.node], { lo, hi }));
  /** Whether x = y: bool. */
  eq = (y: Operand) => new Tensor(f().compare('eq', this.node, raw(y)));
  /** Whether x ≠ y. */
  ne = (y: Operand) => new Tensor(f().compare('ne', this.node, raw(y)));
  /** Whether x < y. */
  lt = (y: Operand) => new Tensor(f().compare('lt', this.node, raw(y)));
  /** Whether x ≤ y. */
  le = (y: Operand) => new Tensor(f().compare('le', this.node, raw(y)));
  /** Whether x > y. */
  gt = (y: Operand) => new Tensor(f().compare('gt', this.node, raw(y)));
  /** Whether x ≥ y. */
  ge = (y: Operand) => new Tensor(f().compare('ge', this.node, raw(y)));
  /** Both hold: of bool tensors, as comparisons give. */
  and = (y: Tensor) => new Tensor(f().op('and', [this.node, y.node]));
  /** Either holds. */
  or = (y: Tensor) => new Tensor(f().op('or', [this.node, y.node]));
  /** It does not hold. */
  not = () => new Tensor(f().op('not', [this.node]));
  /** −x. */
  neg = () => new Tensor(f().neg(this.node));
  /** eˣ. */
  exp = () => new Tensor(f().exp(this.node));
  /** Natural logarithm. */
  log = () => new Tensor(f().log(this.node));
  /** √x. */
  sqrt = () => new Tensor(f().sqrt(this.node));
  /** 1/√x. */
  rsqrt = () => new Tensor(f().rsqrt(this.node));
  /** x². */
  square = () => new Tensor(f().square(this.node));
  /** The values in another dtype; from float to integer they are cut off. */
  cast = (dtype: DType) => new Tensor(f().cast(this.node, dtype));

  /** Matrix product of the last two axes; leading axes broadcast. */
  matmul = (y: Tensor) => new Tensor(f().matmul(this.node, y.node));

  /** The same elements under another shape; one size may be −1. */
  reshape(...shape: number[]): Tensor {
    const known = shape.reduce((n, size) => (size === -1 ? n : n * size), 1);
    const inferred = shape.map((size) => (size === -1 ? sizeOf(this.node.type.shape) / known : size));
    return new Tensor(f().reshape(this.node, inferred));
  }

  /** The axes in another order: axis i of the result is axis perm[i] of x. */
  permute = (...perm: number[]) => new Tensor(f().permute(this.node, perm));

  /** Swaps two axes, the last two unless told. */
  transpose(a = -2, b = -1): Tensor {
    const perm = this.shape.map((_, i) => i);
    const [i, j] = [this.axis(a), this.axis(b)];
    [perm[i], perm[j]] = [j, i];
    return this.permute(...perm);
  }

  /** Inserts an axis of size 1. */
  unsqueeze(axis: number): Tensor {
    const at = axis < 0 ? axis + this.rank + 1 : axis;
    return this.reshape(...this.shape.slice(0, at), 1, ...this.shape.slice(at));
  }

  /** Drops an axis of size 1. */
  squeeze(axis: number): Tensor {
    const at = this.axis(axis);
    if (this.shape[at] !== 1)
      throw misuse('squeeze: the axis is not of size 1', `axis ${at} of ${formatShape(this.shape)}`);
    return this.reshape(...this.shape.filter((_, i) => i !== at));
  }

  /** Repeated along axes of size 1, and along new leading axes. */
  broadcastTo = (...shape: number[]) => new Tensor(f().broadcast(this.node, shape));

  /** Elements start, start+step, … below end along one axis; negative positions count from the end. */
  slice(axis: number, start: number, end = Infinity, step = 1): Tensor {
    const at = this.axis(axis);
    const n = this.shape[at];
    const from = start < 0 ? start + n : start;
    const to = Math.min(end < 0 ? end + n : end, n);
    const size = this.shape;
    size[at] = Math.ceil((to - from) / step);
    const zeros = this.shape.map(() => 0);
    const starts = zeros.map((_, i) => (i === at ? from : 0));
    return new Tensor(
      f().slice(
        this.node,
        starts,
        size,
        zeros.map((_, i) => (i === at ? step : 1)),
      ),
    );
  }

  /** `parts` equal pieces along an axis, the last unless told. */
  split(parts: number, axis = -1): Tensor[] {
    const at = this.axis(axis);
    const length = this.shape[at] / parts;
    if (!Number.isInteger(length)) {
      throw misuse('split: pieces are not equal', `axis ${at} of ${formatShape(this.shape)} in ${parts}`);
    }
    return Array.from({ length: parts }, (_, i) => this.slice(at, i * length, (i + 1) * length));
  }

  /** The pieces of size 1 along an axis (the first unless told), with the axis dropped. */
  unstack(axis = 0): Tensor[] {
    return this.split(this.shape[this.axis(axis)], axis).map((piece) => piece.squeeze(axis));
  }

  /**
   * Windows along an axis, as a new last axis: element w of window o is x at o·step + w·dilation. `pad` first for windows
   * that reach over the edge. A convolution is a matrix product over windows; they are never written to memory.
   */
  unfold(axis: number, size: number, { step = 1, dilation = 1 }: { step?: number; dilation?: number } = {}): Tensor {
    return new Tensor(f().unfold(this.node, this.axis(axis), size, step, dilation));
  }

  /** Zeros (or `value`) around each axis: low[i] before, high[i] after. */
  pad = (low: number[], high: number[], value = 0) => new Tensor(f().pad(this.node, low, high, value));

  /** Sum over axes (all of them unless told); reduced axes are dropped unless keepDims. */
  sum = (axes?: number | number[], options?: { keepDims?: boolean }) => this.reduce('sum', axes, options);
  /** Mean over axes, as `sum`. */
  mean = (axes?: number | number[], options?: { keepDims?: boolean }) => this.reduce('mean', axes, options);
  /** Largest over axes, as `sum`. */
  max = (axes?: number | number[], options?: { keepDims?: boolean }) => this.reduce('reduceMax', axes, options);

  private reduce(
    kind: 'sum' | 'mean' | 'reduceMax',
    axes?: number | number[],
    options?: { keepDims?: boolean },
  ): Tensor {
    const list = axes === undefined ? this.shape.map((_, i) => i) : [axes].flat().map((a) => this.axis(a));
    if (!list.length) return this;
    const kept = f()[kind](
      this.node,
      [...new Set(list)].sort((a, b) => a - b),
    );
    if (options?.keepDims) return new Tensor(kept);
    return new Tensor(
      f().reshape(
        kept,
        this.shape.filter((_, i) => !list.includes(i)),
      ),
    );
  }

  /** Rows of this table: [n, …rest] read at index […batch] gives […batch, …rest]. */
  gather = (index: Tensor) => new Tensor(f().gather(this.node, index.node));

  /** The value without a gradient. */
  detach = () => new Tensor(f().op('detach', [this.node]));

  private axis(axis: number): number {
    const at = axis < 0 ? axis + this.rank : axis;
    if (!(at >= 0 && at < this.rank)) throw misuse(`no axis ${axis} in ${formatShape(this.shape)}`);
    return at;
  }
}

/** Whole powers beyond this are left to `pow`: up to it, twenty products do. */
const MOST_POWER = 1024;

/** xʸ by products where y is whole (GPUs compute 2^(y·log₂ x), which is NaN for a negative x), by roots where it is a half. */
function power(x: Node, y: number): Node {
  const { dtype } = x.type;
  const isWhole = Number.isInteger(y) && Math.abs(y) <= MOST_POWER;
  if (!isFloat(dtype) && !(isInteger(dtype) && isWhole && y >= 0)) return f().pow(x, y);
  if (y === 0.5) return f().sqrt(x);
  if (y === -0.5) return f().rsqrt(x);
  if (!isWhole) return f().pow(x, y);
  if (y < 0) return power(f().div(1, x), -y);
  if (y === 0) return f().constant(1, x.type.dtype, x.type.shape);
  if (y === 1) return x;
  const half = f().square(power(x, Math.floor(y / 2)));
  return y % 2 ? f().mul(half, x) : half;
}

/** A constant tensor: one number, or row-major data with its shape. */
export function constant(value: number | ArrayLike<number>, shape: Shape = [], dtype: DType = 'f32'): Tensor {
  if (typeof value === 'number') return new Tensor(f().constant(value, dtype, shape));
  return new Tensor(f().op('constant', [], { dtype, shape, data: Float64Array.from(value) }));
}

/** Each element is its index along `axis`. */
export const iota = (shape: Shape, axis = 0, dtype: DType = 'f32') => new Tensor(f().iota(dtype, shape, axis));
