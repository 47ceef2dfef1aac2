/** Ops as functions on nodes: what gradients, expansions and the DSL are written with. Numbers become constants. */
import { isFloat, type Attrs, type DType, type GraphBuilder, type Node, type Shape } from '../ir/index.ts';

export type Operand = Node | number;

export class Functional {
  readonly builder: GraphBuilder;
  /** The composite node being expanded: what is built takes its location and remembers its op. */
  like?: Node;

  constructor(builder: GraphBuilder) {
    this.builder = builder;
  }

  op(op: string, inputs: readonly Node[], attrs: Attrs = {}): Node {
    const node = this.builder.apply(op, inputs, attrs);
    if (this.like) {
      node.loc ??= this.like.loc;
      node.origin ??= this.like.op;
    }
    return node;
  }

  constant(value: number, dtype: DType = 'f32', shape: Shape = []): Node {
    return this.op('constant', [], { dtype, shape, value });
  }

  /** Applies an op, turning numbers into constants of the dtype of the first node among the operands. */
  private lift(op: string, ...operands: Operand[]): Node {
    const node = operands.find((x) => typeof x !== 'number');
    const dtype = node?.type.dtype ?? 'f32';
    return this.op(
      op,
      operands.map((x) => (typeof x === 'number' ? this.constant(x, dtype) : x)),
    );
  }

  add = (x: Operand, y: Operand) => this.lift('add', x, y);
  sub = (x: Operand, y: Operand) => this.lift('sub', x, y);
  mul = (x: Operand, y: Operand) => this.lift('mul', x, y);
  div = (x: Operand, y: Operand) => this.lift('div', x, y);
  rem = (x: Operand, y: Operand) => this.lift('rem', x, y);
  pow = (x: Operand, y: Operand) => this.lift('pow', x, y);
  max = (x: Operand, y: Operand) => this.lift('max', x, y);
  min = (x: Operand, y: Operand) => this.lift('min', x, y);
  compare = (op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge', x: Operand, y: Operand) => this.lift(op, x, y);
  select = (condition: Node, x: Node, y: Node) => this.op('select', [condition, x, y]);
  unary = (op: string, x: Node) => this.op(op, [x]);
  neg = (x: Node) => this.op('neg', [x]);
  exp = (x: Node) => this.op('exp', [x]);
  log = (x: Node) => this.op('log', [x]);
  sqrt = (x: Node) => this.op('sqrt', [x]);
  rsqrt = (x: Node) => this.op('rsqrt', [x]);
  sigmoid = (x: Node) => this.op('sigmoid', [x]);
  tanh = (x: Node) => this.op('tanh', [x]);
  square = (x: Node) => this.mul(x, x);
  cast = (x: Node, dtype: DType) => (x.type.dtype === dtype ? x : this.op('cast', [x], { dtype }));

  reshape = (x: Node, shape: Shape) =>
    x.type.shape.length === shape.length && shape.every((n, i) => n === x.type.shape[i])
      ? x
      : this.op('reshape', [x], { shape });
  permute = (x: Node, perm: readonly number[]) =>
    perm.length === x.type.shape.length && perm.every((axis, i) => axis === i) ? x : this.op('permute', [x], { perm });
  broadcast = (x: Node, shape: Shape) => this.op('broadcast', [x], { shape });
  slice = (x: Node, start: readonly number[], size: readonly number[], step: readonly number[] = size.map(() => 1)) =>
    this.op('slice', [x], { start, size, step });
  concat = (xs: readonly Node[], axis: number) => (xs.length === 1 ? xs[0] : this.op('concat', xs, { axis }));
  pad = (x: Node, low: readonly number[], high: readonly number[], value = 0) =>
    this.op('pad', [x], { low, high, value });
  unfold = (x: Node, axis: number, size: number, step = 1, dilation = 1) =>
    this.op('unfold', [x], { axis, size, step, dilation });
  flip = (x: Node, axes: readonly number[]) => this.op('flip', [x], { axes });
  gather = (table: Node, index: Node) => this.op('gather', [table, index]);

  takeAlong = (x: Node, index: Node, axis: number) => this.op('take_along', [x, index], { axis });
  /** `updates` added up in a value of zeros with `size` elements along `axis`. */
  scatterAdd = (index: Node, updates: Node, axis: number, size: number) =>
    this.op('scatter_add', [index, updates], { axis, size });

  /** With f16 operands, `dtype` may be f32. */
  matmul = (x: Node, y: Node, dtype = x.type.dtype) =>
    this.op('matmul', [x, y], dtype === x.type.dtype ? {} : { dtype });
  sum = (x: Node, axes: readonly number[]) => (axes.length ? this.op('reduce_sum', [x], { axes }) : x);
  reduceMax = (x: Node, axes: readonly number[]) => this.op('reduce_max', [x], { axes });
  reduceMin = (x: Node, axes: readonly number[]) => this.op('reduce_min', [x], { axes });
  mean = (x: Node, axes: readonly number[]) =>
    this.mul(this.sum(x, axes), 1 / axes.reduce((n, axis) => n * x.type.shape[axis], 1));

  /** Swaps the last two axes. */
  transpose(x: Node): Node {
    const r = x.type.shape.length;
    return this.permute(x, [...Array.from({ length: r - 2 }, (_, i) => i), r - 1, r - 2]);
  }

  zeros = (shape: Shape, dtype: DType = 'f32') => this.constant(0, dtype, shape);
  iota = (dtype: DType, shape: Shape, axis: number) => this.op('iota', [], { dtype, shape, axis });

  /** Sums a broadcast value back to the shape it was broadcast from. */
  sumTo(x: Node, shape: Shape): Node {
    const lead = x.type.shape.length - shape.length;
    const axes = x.type.shape.flatMap((n, i) => (i < lead || (shape[i - lead] === 1 && n !== 1) ? [i] : []));
    return this.reshape(this.sum(x, axes), shape);
  }

  isFloat = (x: Node) => isFloat(x.type.dtype);
}
