/** The Tensor a model file computes with. Each method appends one op (or a few) to the trace; nothing is computed. */
import { DitcError, formatShape, isFloat, isInteger, sizeOf, type DType, type Node } from '../ir/index.ts';
import { methodsTake } from './arguments.ts';
import { power } from './power.ts';
import { TENSOR } from './signatures.ts';
import { currentPlace, currentTrace } from './trace.ts';

/** A tensor, or a number for all elements. */
export type Operand = Tensor | number;

type Axes = number | number[];
interface KeepDims {
  keepDims?: boolean;
}

const f = () => currentTrace().f;
const raw = (x: Operand): Node | number => (typeof x === 'number' ? x : x.node);

export function misuse(what: string, why: string, fix: string): DitcError {
  return new DitcError({ code: 'shape', where: currentPlace(), what, why, fix });
}

/** An axis from the front; negative ones count from the end. `of` is what it is an axis of. */
export function axisOf(axis: number, rank: number, of: string): number {
  const at = axis < 0 ? axis + rank : axis;
  if (at >= 0 && at < rank) return at;
  const fix = rank ? `give an axis from 0 to ${rank - 1}, or −${rank} to −1 from the end` : 'it has no axes';
  throw misuse(`axis: there is no axis ${axis}`, `in ${of}`, fix);
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
  add(y: Operand): Tensor {
    return new Tensor(f().add(this.node, raw(y)));
  }
  /** x − y. */
  sub(y: Operand): Tensor {
    return new Tensor(f().sub(this.node, raw(y)));
  }
  /** x·y, element by element. */
  mul(y: Operand): Tensor {
    return new Tensor(f().mul(this.node, raw(y)));
  }
  /** x / y; of integers cut off, and an integer by a 0 that is not known before the run is itself. */
  div(y: Operand): Tensor {
    return new Tensor(f().div(this.node, raw(y)));
  }
  /** What is left of x by y, both integers, with the sign of x; 0 where y is 0. */
  rem(y: Operand): Tensor {
    return new Tensor(f().rem(this.node, raw(y)));
  }
  /** xʸ; NaN where x < 0 and y is no whole number. */
  pow(y: Operand): Tensor {
    return new Tensor(typeof y === 'number' ? power(this.node, y) : f().pow(this.node, y.node));
  }
  /** The larger of x and y, element by element (`max` is along axes). */
  maximum(y: Operand): Tensor {
    return new Tensor(f().max(this.node, raw(y)));
  }
  /** The smaller of x and y. */
  minimum(y: Operand): Tensor {
    return new Tensor(f().min(this.node, raw(y)));
  }
  /** Limits every element to [lo, hi]; the gradient is x's there, both ends included, and 0 beyond. */
  clamp(lo: number, hi: number): Tensor {
    if (!(lo <= hi)) throw misuse('clamp: lo must be at most hi', `they are ${lo} and ${hi}`, 'write clamp(lo, hi)');
    return new Tensor(f().op('clamp', [this.node], { lo, hi }));
  }
  /** Whether x = y: bool. */
  eq(y: Operand): Tensor {
    return new Tensor(f().compare('eq', this.node, raw(y)));
  }
  /** Whether x ≠ y. */
  ne(y: Operand): Tensor {
    return new Tensor(f().compare('ne', this.node, raw(y)));
  }
  /** Whether x < y. */
  lt(y: Operand): Tensor {
    return new Tensor(f().compare('lt', this.node, raw(y)));
  }
  /** Whether x ≤ y. */
  le(y: Operand): Tensor {
    return new Tensor(f().compare('le', this.node, raw(y)));
  }
  /** Whether x > y. */
  gt(y: Operand): Tensor {
    return new Tensor(f().compare('gt', this.node, raw(y)));
  }
  /** Whether x ≥ y. */
  ge(y: Operand): Tensor {
    return new Tensor(f().compare('ge', this.node, raw(y)));
  }
  /** Both hold: of bool tensors, as comparisons give. */
  and(y: Tensor): Tensor {
    return new Tensor(f().op('and', [this.node, y.node]));
  }
  /** Either holds. */
  or(y: Tensor): Tensor {
    return new Tensor(f().op('or', [this.node, y.node]));
  }
  /** It does not hold. */
  not(): Tensor {
    return new Tensor(f().op('not', [this.node]));
  }
  /** −x, of integers of i32 too. */
  neg(): Tensor {
    return new Tensor(f().neg(this.node));
  }
  /** eˣ. */
  exp(): Tensor {
    return new Tensor(f().exp(this.node));
  }
  /** Natural logarithm. */
  log(): Tensor {
    return new Tensor(f().log(this.node));
  }
  /** √x. */
  sqrt(): Tensor {
    return new Tensor(f().sqrt(this.node));
  }
  /** 1/√x. */
  rsqrt(): Tensor {
    return new Tensor(f().rsqrt(this.node));
  }
  /** x². */
  square(): Tensor {
    return new Tensor(f().square(this.node));
  }
  /** The values in another dtype; from float to integer they are cut off. */
  cast(dtype: DType): Tensor {
    return new Tensor(f().cast(this.node, dtype));
  }
  /** Matrix product of the last two axes; leading axes broadcast. */
  matmul(y: Tensor): Tensor {
    return new Tensor(f().matmul(this.node, y.node));
  }

  /** The same elements under another shape; one size may be −1. */
  reshape(...shape: number[]): Tensor {
    const open = shape.filter((size) => size === -1).length;
    if (open > 1) throw misuse('reshape: only one size may be −1', `it is ${formatShape(shape)}`, 'give the others');
    const known = shape.reduce((n, size) => (size === -1 ? n : n * size), 1);
    const total = sizeOf(this.node.type.shape);
    if (open && total % known) {
      const why = `${formatShape(this.shape)} has ${total} elements, no multiple of ${known}`;
      throw misuse(`reshape: no size makes ${formatShape(shape)} fit`, why, 'check the other sizes');
    }
    const inferred = shape.map((size) => (size === -1 ? total / known : size));
    return new Tensor(f().reshape(this.node, inferred));
  }

  /** The axes in another order: axis i of the result is axis perm[i] of x. */
  permute(...perm: number[]): Tensor {
    return new Tensor(
      f().permute(
        this.node,
        perm.map((axis) => this.axis(axis)),
      ),
    );
  }

  /** Swaps two axes, the last two unless told. */
  transpose(a = -2, b = -1): Tensor {
    const perm = this.shape.map((_, i) => i);
    const [i, j] = [this.axis(a), this.axis(b)];
    [perm[i], perm[j]] = [j, i];
    return this.permute(...perm);
  }

  /** Inserts an axis of size 1. */
  unsqueeze(axis: number): Tensor {
    const at = axisOf(axis, this.rank + 1, `the result, of rank ${this.rank + 1}`);
    return this.reshape(...this.shape.toSpliced(at, 0, 1));
  }

  /** Drops an axis of size 1. */
  squeeze(axis: number): Tensor {
    const at = this.axis(axis);
    if (this.shape[at] !== 1) {
      const why = `axis ${at} of ${formatShape(this.shape)}`;
      throw misuse('squeeze: the axis is not of size 1', why, 'choose an axis of size 1, or reduce it');
    }
    return this.reshape(...this.shape.toSpliced(at, 1));
  }

  /** Repeated along axes of size 1, and along new leading axes. */
  broadcastTo(...shape: number[]): Tensor {
    return new Tensor(f().broadcast(this.node, shape));
  }

  /** Elements start, start+step, … below end along one axis; negative positions count from the end. */
  slice(axis: number, start: number, end = Infinity, step = 1): Tensor {
    const at = this.axis(axis);
    const n = this.shape[at];
    const from = start < 0 ? start + n : start;
    const to = Math.min(end < 0 ? end + n : end, n);
    if (from < 0 || from >= to) {
      const why = `axis ${at} of ${formatShape(this.shape)}, from ${start} to ${end === Infinity ? 'its end' : end}`;
      throw misuse(
        'slice: there are no such elements',
        why,
        `give positions from 0 to ${n}, or −${n} to −1 from the end`,
      );
    }
    const size = this.shape.with(at, Math.ceil((to - from) / step));
    const along = (value: number, others: number) => this.shape.fill(others).with(at, value);
    return new Tensor(f().slice(this.node, along(from, 0), size, along(step, 1)));
  }

  /** `parts` equal pieces along an axis, the last unless told; or pieces of the given sizes. */
  split(parts: number | readonly number[], axis = -1): Tensor[] {
    const at = this.axis(axis);
    const length = this.shape[at];
    const sizes = typeof parts === 'number' ? Array<number>(parts).fill(length / parts) : parts;
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (!sizes.every(Number.isInteger) || total !== length) {
      const [what, how] =
        typeof parts === 'number'
          ? ['pieces are not equal', parts]
          : ['sizes do not add up', `pieces of ${parts.join(', ')}`];
      const fix = `give a number that divides ${length}, or sizes that add up to it`;
      throw misuse(`split: ${what}`, `axis ${at} of ${formatShape(this.shape)} in ${how}`, fix);
    }
    let end = 0;
    return sizes.map((size) => this.slice(at, end, (end += size)));
  }

  /** The pieces of size 1 along an axis (the first unless told), with the axis dropped. */
  unstack(axis = 0): Tensor[] {
    const at = this.axis(axis);
    return this.split(this.shape[at], at).map((piece) => piece.squeeze(at));
  }

  /**
   * Windows along an axis, as a new last axis: element w of window o is x at o·step + w·dilation. `pad` first for windows
   * that reach over the edge. A convolution is a matrix product over windows; they are never written to memory.
   */
  unfold(axis: number, size: number, { step = 1, dilation = 1 }: { step?: number; dilation?: number } = {}): Tensor {
    return new Tensor(f().unfold(this.node, this.axis(axis), size, step, dilation));
  }

  /** Zeros (or `value`) around each axis: low[i] before, high[i] after. */
  pad(low: number[], high: number[], value = 0): Tensor {
    return new Tensor(f().pad(this.node, low, high, value));
  }

  /** Sum over axes (all of them unless told); reduced axes are dropped unless keepDims. Sums of integers wrap around. */
  sum(axes?: Axes, options?: KeepDims): Tensor {
    return this.reduce('sum', axes, options);
  }
  /** Mean over axes, as `sum`. */
  mean(axes?: Axes, options?: KeepDims): Tensor {
    return this.reduce('mean', axes, options);
  }
  /** Largest over axes, as `sum`. */
  max(axes?: Axes, options?: KeepDims): Tensor {
    return this.reduce('reduceMax', axes, options);
  }
  /** Smallest over axes, as `sum`. */
  min(axes?: Axes, options?: KeepDims): Tensor {
    return this.reduce('reduceMin', axes, options);
  }
  /** Whether it holds anywhere along axes, of a bool tensor, as `sum`. */
  any(axes?: Axes, options?: KeepDims): Tensor {
    return this.ones('any').max(axes, options).ne(0);
  }
  /** Whether it holds everywhere along axes, of a bool tensor, as `sum`. */
  all(axes?: Axes, options?: KeepDims): Tensor {
    return this.ones('all').min(axes, options).ne(0);
  }

  /** 1 where it holds. */
  private ones(of: 'any' | 'all'): Tensor {
    if (this.dtype === 'bool') return this.cast('u32');
    throw misuse(`${of}: takes bool`, `x is ${this.dtype}`, 'compare it with something');
  }

  private reduce(kind: 'sum' | 'mean' | 'reduceMax' | 'reduceMin', axes?: Axes, options?: KeepDims): Tensor {
    const list = axes === undefined ? this.shape.map((_, i) => i) : [axes].flat().map((a) => this.axis(a));
    if (new Set(list).size < list.length)
      throw misuse('reduce: an axis is given twice', `axes ${formatShape(list)}`, 'give each axis once');
    const isTaken = isFloat(this.dtype) || (isInteger(this.dtype) && kind !== 'mean');
    if (!isTaken) {
      const what = `reduce: ${kind === 'mean' ? 'only floating-point tensors have one' : 'takes numbers'}`;
      const fix = this.dtype === 'bool' ? "use any() or all(), or cast it to 'i32' first" : "cast it to 'f32' first";
      throw misuse(what, `x is ${this.dtype}`, fix);
    }
    if (!list.length) return this;
    const kept = f()[kind](
      this.node,
      list.toSorted((a, b) => a - b),
    );
    if (options?.keepDims) return new Tensor(kept);
    const left = this.shape.filter((_, i) => !list.includes(i));
    return new Tensor(f().reshape(kept, left));
  }

  /** Rows of this table: [n, …rest] read at index […batch] gives […batch, …rest]. */
  gather(index: Tensor): Tensor {
    return new Tensor(f().gather(this.node, index.node));
  }

  /** The value without a gradient. */
  detach(): Tensor {
    return new Tensor(f().op('detach', [this.node]));
  }

  private axis(axis: number): number {
    return axisOf(axis, this.rank, formatShape(this.shape));
  }
}

methodsTake(Tensor, TENSOR);
