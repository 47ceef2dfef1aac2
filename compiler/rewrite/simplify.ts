/**
 * Canonical form: views merge, identities and casts to the same type vanish, scalar constants fold; after the rules, batched
 * products whose right operand is one matrix become one product. Never needed for correctness; makes all that follows simpler.
 */
import { isInteger, rebuild, sameShape, sizeOf, type Attrs, type Graph, type Node, type Shape } from '../ir/index.ts';
import {
  attrList,
  attrNumber,
  attrString,
  dense,
  Functional,
  joinedAxis,
  keepsOrder,
  opDef,
  opTable,
  rowsOf,
} from '../ops/index.ts';

/** A peephole: the simpler node for `op(inputs)`, or undefined. */
type Peephole = (f: Functional, inputs: readonly Node[], attrs: Attrs, node: Node) => Node | undefined;

const isConstant = (node: Node, value?: number): boolean =>
  node.op === 'constant' && typeof node.attrs.value === 'number' && (value === undefined || node.attrs.value === value);

/** x when the other operand is the neutral element and broadcasts x to nothing more. */
const neutral =
  (value: number, sides: 'both' | 'right'): Peephole =>
  (f, [x, y], _attrs, { type }) => {
    const alone = (kept: Node, dropped: Node) =>
      isConstant(dropped, value) && sizeOf(kept.type.shape) === sizeOf(type.shape)
        ? f.reshape(kept, type.shape)
        : undefined;
    return alone(x, y) ?? (sides === 'both' ? alone(y, x) : undefined);
  };

const PEEPHOLES: Record<string, Peephole> = {
  add: (f, inputs, attrs, node) => neutral(0, 'both')(f, inputs, attrs, node) ?? sumOfReshaped(f, inputs, node),
  sub: neutral(0, 'right'),
  mul: neutral(1, 'both'),
  div: (f, inputs, attrs, node) => byZero(f, inputs, node) ?? neutral(1, 'right')(f, inputs, attrs, node),
  rem: (f, [, y], _attrs, { type }) => (isConstant(y, 0) ? f.constant(0, type.dtype, type.shape) : undefined),
  cast: (_f, [x], attrs) => (x.type.dtype === attrString(attrs, 'dtype') ? x : undefined),
  reshape: (f, [x], attrs) => {
    const shape = attrList(attrs, 'shape');
    if (sameShape(x.type.shape, shape)) return x;
    return keepsOrder(x) ? f.reshape(x.inputs[0], shape) : undefined;
  },
  permute: (f, [x], attrs) => {
    const perm = attrList(attrs, 'perm');
    if (perm.every((axis, i) => axis === i)) return x;
    if (x.op === 'permute')
      return f.permute(
        x.inputs[0],
        perm.map((axis) => attrList(x.attrs, 'perm')[axis]),
      );
    // Moving only axes of size 1 is a reshape.
    const order = perm.filter((axis) => x.type.shape[axis] !== 1);
    const moved = perm.map((axis) => x.type.shape[axis]);
    return order.every((axis, i) => i === 0 || axis > order[i - 1]) ? f.reshape(x, moved) : undefined;
  },
  broadcast: (f, [x], attrs) => {
    const shape = attrList(attrs, 'shape');
    if (sameShape(x.type.shape, shape)) return x;
    return isConstant(x) ? f.constant(attrNumber(x.attrs, 'value'), x.type.dtype, shape) : undefined;
  },
  slice: (f, [x], attrs) => {
    if (sameShape(x.type.shape, attrList(attrs, 'size'))) return x;
    if (joinedAxis(x) !== undefined) return sliceOfPiece(f, x, attrs);
    if (x.op !== 'slice') return undefined;
    const [start, step] = ['start', 'step'].map((name) => attrList(x.attrs, name));
    return f.slice(
      x.inputs[0],
      attrList(attrs, 'start').map((s, i) => start[i] + s * step[i]),
      attrList(attrs, 'size'),
      attrList(attrs, 'step').map((s, i) => s * step[i]),
    );
  },
  pad: (_f, [x], _attrs, { type }) => (sameShape(x.type.shape, type.shape) ? x : undefined),
  unfold: (f, [x], attrs, { type }) =>
    attrNumber(attrs, 'size') === 1 ? windowsOfOne(f, x, attrs, type.shape) : undefined,
  iota: (f, _inputs, attrs, { type }) =>
    type.shape[attrNumber(attrs, 'axis')] === 1 ? f.constant(0, type.dtype, type.shape) : undefined,
  concat: (f, inputs, attrs) => {
    if (inputs.length === 1) return inputs[0];
    const axis = attrNumber(attrs, 'axis');
    const isJoin = (x: Node) => joinedAxis(x) === axis;
    const flat = () => inputs.flatMap((x) => (isJoin(x) ? x.inputs : [x]));
    return inputs.some(isJoin) ? f.concat(flat(), axis) : undefined;
  },
  not: (f, [x]) => opposite(f, x),
  // What is computed comes first: one form for masks that say what to hide and those that say what to keep.
  select: (f, [c, x, y]) =>
    isConstant(x) && !isConstant(y) ? f.select(opposite(f, c) ?? f.op('not', [c]), y, x) : undefined,
};

/** Windows of one element are the elements, or every so many of them: a convolution of 1×1 is a product of the picture itself. */
function windowsOfOne(f: Functional, x: Node, attrs: Attrs, shape: Shape): Node {
  const [axis, step] = ['axis', 'step'].map((name) => attrNumber(attrs, name));
  const none = x.type.shape.map(() => 0);
  const every = f.slice(
    x,
    none,
    shape.slice(0, -1),
    none.map((_, i) => (i === axis ? step : 1)),
  );
  return f.reshape(step === 1 ? x : every, shape);
}

/** An integer by a literal 0 is itself, as it is by a 0 of memory; WGSL refuses to compile the literal. */
function byZero(f: Functional, [x, y]: readonly Node[], { type }: Node): Node | undefined {
  if (!isInteger(type.dtype) || !isConstant(y, 0)) return undefined;
  return sameShape(x.type.shape, type.shape) ? x : f.broadcast(x, type.shape);
}

/** What is reshaped alike is added first: sums stay next to what they are sums of. */
function sumOfReshaped(f: Functional, [x, y]: readonly Node[], { name }: Node): Node | undefined {
  if (!keepsOrder(x) || !keepsOrder(y) || !sameShape(x.type.shape, y.type.shape)) return undefined;
  const [from, other] = [x, y].map(({ inputs }) => inputs[0]);
  if (!sameShape(from.type.shape, other.type.shape)) return undefined;
  const sum = f.add(from, other);
  sum.name ??= name;
  return f.reshape(sum, x.type.shape);
}

/** A slice that lies in one of the pieces of a concatenation. */
function sliceOfPiece(f: Functional, joined: Node, attrs: Attrs): Node | undefined {
  const axis = attrNumber(joined.attrs, 'axis');
  const [start, size, step] = ['start', 'size', 'step'].map((name) => attrList(attrs, name));
  const last = start[axis] + (size[axis] - 1) * step[axis];
  let begin = 0;
  for (const piece of joined.inputs) {
    const end = begin + piece.type.shape[axis];
    if (begin <= start[axis] && last < end)
      return sameShape(piece.type.shape, size)
        ? piece
        : f.slice(piece, start.with(axis, start[axis] - begin), size, step);
    begin = end;
  }
  return undefined;
}

/** What holds where a comparison of integers does not. NaN compares with nothing, so for floats only (in)equality has one. */
const OPPOSITE: Readonly<Record<string, string | undefined>> = {
  eq: 'ne',
  ne: 'eq',
  lt: 'ge',
  ge: 'lt',
  gt: 'le',
  le: 'gt',
};

/** Where x does not hold, without `not`, when that can be said. */
function opposite(f: Functional, x: Node): Node | undefined {
  if (x.op === 'not') return x.inputs[0];
  const op = OPPOSITE[x.op];
  const isExact = op && (x.op === 'eq' || x.op === 'ne' || isInteger(x.inputs[0].type.dtype));
  return isExact ? f.op(op, x.inputs) : undefined;
}

/** [b, m, k] × [k, n] is [b·m, k] × [k, n]: one product instead of b. */
function mergeBatch(f: Functional, [x, y]: readonly Node[], _attrs: Attrs, node: Node): Node | undefined {
  const batch = x.type.shape.slice(0, -2);
  // A batch of one on both sides has nothing to merge, and leaves the rules less to recognise.
  const merges = sizeOf(batch) > 1 || batch.length > y.type.shape.length - 2;
  if (!batch.length || !merges || sizeOf(y.type.shape) !== sizeOf(y.type.shape.slice(-2))) return undefined;
  const matrix = f.reshape(y, y.type.shape.slice(-2));
  const rows = rowsOf(f, x, sizeOf(batch) * x.type.shape.at(-2)!);
  return f.reshape(f.matmul(rows, matrix, node.type.dtype), node.type.shape);
}

/** A pointwise op of one-valued constants is a constant. */
function fold(f: Functional, inputs: readonly Node[], node: Node): Node | undefined {
  const isPointwise = opDef(node.op).kind === 'pointwise';
  if (!isPointwise || !inputs.length || !inputs.every((n) => isConstant(n))) return undefined;
  const scalar: Shape = [];
  const scalars = inputs.map((n) =>
    dense({ dtype: n.type.dtype, shape: scalar }, Float64Array.of(attrNumber(n.attrs, 'value'))),
  );
  const [value] = opDef(node.op).reference(scalars, node.attrs, { dtype: node.type.dtype, shape: scalar }).data;
  return f.constant(value, node.type.dtype, node.type.shape);
}

const simplifying =
  (peepholes: Readonly<Record<string, Peephole>>) =>
  (graph: Graph): Graph =>
    rebuild(graph, opTable, (node, inputs, builder) => {
      const f = new Functional(builder);
      return fold(f, inputs, node) ?? peepholes[node.op]?.(f, inputs, node.attrs, node);
    });

export const simplify = simplifying(PEEPHOLES);

/** The same for products that no rule took: those that share their right operand become one. */
export const canonicalise = simplifying({ ...PEEPHOLES, matmul: mergeBatch });
