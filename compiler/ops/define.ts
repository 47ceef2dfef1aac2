/**
 * One record per op: documentation, type rule, float64 reference, gradient, cost and sampler. The verifier, the
 * interpreter, the gradient check, the fuzzer, the MAC count and docs/ops.md are all read from these records.
 */
import {
  broadcastShapes,
  DitcError,
  formatShape,
  formatType,
  isFloat,
  sizeOf,
  type Attrs,
  type DType,
  type Node,
  type Shape,
  type TensorType,
} from '../ir/index.ts';
import { broadcastStrides, dense, dot, forEachIndex, type Dense } from './dense.ts';
import type { Functional } from './functional.ts';
import type { Combiner, Contraction, ManyBuilder, ManyOperand } from './kinds.ts';
import type { Random } from './random.ts';
import type { LeafDef, ViewDef } from './view.ts';

/**
 * How the scheduler sees an op.
 * - `leaf`: a buffer, or a literal.  - `pointwise`: one output element from one element of each (broadcast) operand.
 * - `view`: an output element is one input element, found by index arithmetic.  - `reduce`, `contract`: anchors.
 * - `composite`: expanded into the others before scheduling, unless a rule has used it first.
 * - `request`: what a pass computes from the whole graph; it has no value of its own before.
 */
export type OpKind = 'leaf' | 'pointwise' | 'view' | 'reduce' | 'contract' | 'composite' | 'request';

export interface GradientContext {
  /** Builds nodes. */
  readonly f: Functional;
  readonly inputs: readonly Node[];
  readonly attrs: Attrs;
  readonly out: Node;
  /** Gradient of the loss with respect to `out`, of out's shape. */
  readonly dy: Node;
}

/** A random case for tests: operand types, attributes, and the range values are drawn from. */
export interface Sample {
  readonly inputs: readonly TensorType[];
  readonly attrs: Attrs;
  /** Values of input i lie in range[i] (default [-2, 2]); integers are drawn from [lo, hi). */
  readonly ranges?: readonly (readonly [number, number] | undefined)[];
}

export interface Cost {
  /** Multiply-accumulates, counted as the DiT paper counts "flops". */
  readonly macs: number;
  /** Scalar operations besides the MACs. */
  readonly flops: number;
}

/** What all records have, and what some have. */
interface OpFields {
  readonly name: string;
  readonly doc: string;
  /** What it does at the edges, and why. */
  readonly note?: string;
  /** Type of the result; throws a DitcError naming the rule that the operands break. */
  type(inputs: readonly TensorType[], attrs: Attrs): TensorType;
  /** The meaning, in float64, as one short loop. */
  reference(inputs: readonly Dense[], attrs: Attrs, type: TensorType): Dense;
  /** Gradients of the operands (null: none flows). They may have the broadcast shape; autodiff sums them back. */
  gradient: ((context: GradientContext) => (Node | null)[]) | 'none';
  cost(inputs: readonly TensorType[], attrs: Attrs, type: TensorType): Cost;
  /** Whether its value always lies in memory, however cheap it is to compute where it is read. */
  readonly inMemory?: true;
  /** Contractions: how many of the operands, from the first, are multiplied. These may be f16 where the result is f32. */
  readonly factors?: number;
  sample(random: Random): Sample;
  /** The WGSL of one element, and the helper functions it calls. */
  readonly wgsl?: ScalarCode;
  readonly leaf?: LeafDef;
  /** Where the elements of the result come from. */
  readonly view?: ViewDef;
  /** How results of parts become the result of all. */
  readonly reduction?: Combiner;
  readonly contraction?: Contraction;
  /** Of x and a number c: where x lies if the result lies from `least` on and before `end`. Anywhere unless told. */
  preimage?(c: number, range: readonly [least: number, end: number]): readonly [least: number, end: number];
  /** Composites: what they are made of multiplies the rows of the first operand by a matrix, and adds to each row at most. */
  readonly multipliesRows?: true;
  /** Composites: each row of the result, along the last axis, is made of that row of the operand alone. */
  readonly reducesRows?: true;
  /** The same value by smaller ops. Of contractions: what is computed where no kernel does all of it. */
  readonly expand?: Expansion;
  /** The same for many values of a counter at once; undefined where that is not worth hoisting. Pointwise ops and reductions need none. */
  many?(original: Node, operands: readonly ManyOperand[], build: ManyBuilder): Node | undefined;
}

/** What a record must say besides, by kind. */
type OpKinds =
  | { readonly kind: 'request' }
  | { readonly kind: 'leaf'; readonly leaf: LeafDef }
  | { readonly kind: 'pointwise'; readonly wgsl: ScalarCode }
  | { readonly kind: 'view'; readonly view: ViewDef }
  | { readonly kind: 'reduce'; readonly reduction: Combiner }
  | { readonly kind: 'contract'; readonly contraction: Contraction; readonly expand: Expansion }
  | { readonly kind: 'contract'; readonly contraction: 'product' }
  | { readonly kind: 'composite'; readonly expand: Expansion };

export type OpDef = OpFields & OpKinds;

type Expansion = (f: Functional, inputs: readonly Node[], attrs: Attrs, type: TensorType) => Node;

export interface CodeContext {
  /** Types of the result and of the operands, as they are in registers: f16 is a matter of memory. */
  readonly output: DType;
  readonly inputs: readonly DType[];
  readonly attrs: Attrs;
}

export interface ScalarCode {
  expression(operands: readonly string[], context: CodeContext): string;
  /** Where four results come at once (a vec4u): the call that nodes differing only in their component share. */
  vector?(operands: readonly string[]): string;
  /** Which of the four. */
  component?(attrs: Attrs): number;
  /** The expression is this operator between the operands: sums are accumulated with it. */
  readonly operator?: '+' | '*';
  /** Nothing but the dtype changes: between equal types in registers, nothing does. */
  readonly isConversion?: true;
  /** Not even that: the values are those of the operand, for the sake of where they lie. */
  readonly keepsValues?: true;
  /** A literal zero among the operands is written as a number that drivers do not know: they would drop NaN and ∞ beside it. */
  readonly hidesZeros?: true;
  /** WGSL functions that the expression calls, each emitted once per kernel that does. */
  readonly helper?: string;
}

const registry = new Map<string, OpDef>();

export function defineOp(def: OpDef): OpDef {
  if (registry.has(def.name)) throw new Error(`op ${def.name} is defined twice`);
  registry.set(def.name, def);
  return def;
}

const lacks = (op: string, what: string): Error =>
  new Error(`internal error: ${op} is no ${what}: its record does not say how`);

/** What the record of a view says; an internal error for other ops. */
export function viewOf(op: string): ViewDef {
  const { view } = opDef(op);
  if (!view) throw lacks(op, 'view');
  return view;
}

export function combinerOf(op: string): Combiner {
  const { reduction } = opDef(op);
  if (!reduction) throw lacks(op, 'reduction');
  return reduction;
}

export function contractionOf(op: string): Contraction {
  const { contraction } = opDef(op);
  if (!contraction) throw lacks(op, 'contraction');
  return contraction;
}

/** Whether a node is a matrix product: batches, rows and columns as `matmul` has them. */
export const isProduct = (node: Node | undefined): boolean => !!node && opDef(node.op).contraction === 'product';

/** Whether rows are multiplied by a matrix: by a product, or by what becomes one. */
export const multipliesRows = (node: Node): boolean => isProduct(node) || !!opDef(node.op).multipliesRows;

/** Whether the compiler can know a value: nobody gives it, and it is made of none that cannot be known. */
export function isKnown({ op, inputs }: Node, isKnownToo: (node: Node) => boolean): boolean {
  const { kind, leaf } = opDef(op);
  return leaf ? !leaf.isGiven : kind !== 'request' && inputs.every(isKnownToo);
}

/** Whether a node is an attention; what is computed of its scores besides is not. */
export const isAttention = (node: Node | undefined): boolean => !!node && opDef(node.op).contraction === 'attention';

/** Whether a node adds up elements. */
export const isSum = ({ op }: Node): boolean => opDef(op).reduction?.combine === 'add';

/** The axis along which a view has its operands one after the other, if it does. */
export const joinedAxis = ({ op, attrs }: Node): number | undefined => opDef(op).view?.joins?.(attrs);

/** Whether each element of a view's operand is there once: what follows it element by element follows its operand too. */
export const isBijection = ({ op }: Node): boolean => !!opDef(op).view?.placeOf;

/** Where in its operand a view begins that shows a box of it, each element once; undefined for any other node. */
export const boxOf = ({ op, attrs }: Node): readonly number[] | undefined => opDef(op).view?.box?.(attrs);

/** Whether a node shows its operand's memory under another shape. */
export const keepsOrder = ({ op }: Node): boolean => !!opDef(op).view?.keepsOrder;

export const allOps = (): OpDef[] => [...registry.values()];

export function opDef(name: string): OpDef {
  const def = registry.get(name);
  if (!def)
    throw new DitcError({ code: 'unknown-op', what: `unknown op ${name}`, fix: 'see docs/ops.md for the list' });
  return def;
}

/** What went wrong with an op's operands: `matmul: inner sizes differ: …`. */
export function shapeError(op: string, rule: string, why?: string, fix?: string): DitcError {
  return new DitcError({ code: 'shape', what: `${op}: ${rule}`, why, fix });
}

export function expectArity(op: string, inputs: readonly TensorType[], arity: number): void {
  if (inputs.length !== arity) throw shapeError(op, `takes ${arity} operands`, `got ${inputs.length}`);
}

export function expectFloat(op: string, ...types: readonly TensorType[]): void {
  const bad = types.find((t) => !isFloat(t.dtype));
  if (bad) throw shapeError(op, 'takes floating-point operands', `got ${formatType(bad)}`, 'cast it to f32 first');
}

export function expectSameDType(op: string, types: readonly TensorType[]): void {
  if (types.some((t) => t.dtype !== types[0].dtype)) {
    throw shapeError(op, 'operands have different dtypes', types.map(formatType).join(' and '), 'cast one of them');
  }
}

/** The dtype of a contraction: its factors', unless it says that f16 factors add up to an f32 result. */
export function contractedDType(op: string, [factor]: readonly TensorType[], { dtype = factor.dtype }: Attrs): DType {
  if (dtype === factor.dtype || (dtype === 'f32' && factor.dtype === 'f16')) return dtype;
  throw shapeError(op, `${factor.dtype} operands do not give a ${String(dtype)} result`, undefined, 'leave dtype out');
}

export function broadcastOrThrow(op: string, types: readonly TensorType[]): Shape {
  const shape = broadcastShapes(...types.map((t) => t.shape));
  if (shape) return shape;
  const shapes = types.map((t) => formatShape(t.shape)).join(' and ');
  throw shapeError(op, 'shapes do not broadcast', shapes, 'unsqueeze or reshape one of them');
}

export const isAxis = (axis: number, shape: Shape): boolean =>
  Number.isInteger(axis) && axis >= 0 && axis < shape.length;

/** Whether every entry is a whole number of at least `least`. */
export const areSizes = (list: readonly number[], least: number): boolean =>
  list.every((n) => Number.isSafeInteger(n) && n >= least);

/** Lifts a scalar function to broadcast tensors. */
export function elementwise(f: (...x: number[]) => number): OpDef['reference'] {
  return (inputs, _attrs, type) => {
    const out = dense(type);
    const shape = rowsOf(inputs, type.shape);
    const width = shape.at(-1) ?? 1;
    const operands = inputs.map(({ data, shape: own }) => {
      const strides = broadcastStrides(shape === type.shape ? own : [data.length], shape.length);
      return { data, strides, step: strides.at(-1) ?? 0 };
    });
    const [a, b] = operands;
    forEachIndex(shape.slice(0, -1), (index, row) => {
      const [at, end] = [row * width, (row + 1) * width];
      const first = operands.map(({ strides }) => dot(index, strides));
      if (operands.length === 1) for (let i = at, x = first[0]; i < end; i++, x += a.step) out.data[i] = f(a.data[x]);
      else if (operands.length === 2)
        for (let i = at, [x, y] = first; i < end; i++, x += a.step, y += b.step) out.data[i] = f(a.data[x], b.data[y]);
      else
        for (let i = at; i < end; i++)
          out.data[i] = f(...operands.map(({ data, step }, k) => data[first[k] + (i - at) * step]));
    });
    return out;
  };
}

/** A shape for values whose operands all lie as they do, or are one number: a single row. Else their own. */
function rowsOf(inputs: readonly Dense[], shape: Shape): Shape {
  const count = sizeOf(shape);
  return inputs.every(({ data }) => data.length === count || data.length === 1) ? [count] : shape;
}

export const perElement =
  (flops: number): OpDef['cost'] =>
  (_inputs, _attrs, type) => ({ macs: 0, flops: flops * sizeOf(type.shape) });

export const free: OpDef['cost'] = () => ({ macs: 0, flops: 0 });

export const attrNumber = (attrs: Attrs, name: string): number => attrs[name] as number;
export function attrList(attrs: Attrs, name: string): readonly number[] {
  const list = attrs[name];
  if (Array.isArray(list)) return list as readonly number[];
  throw new DitcError({ code: 'ir', what: `the attribute ${name} is a list of numbers`, why: `got ${typeof list}` });
}
export const attrString = (attrs: Attrs, name: string): string => attrs[name] as string;
