/**
 * The value of a graph node at an index, as kernel IR. Stored values are loaded; pointwise ops are computed on the spot;
 * views only change the index; results of the kernel's own anchor (the product so far, a row's sum) are given.
 */
import type { Node, Shape } from '../ir/index.ts';
import { attrList, attrNumber, opDef } from '../ops/index.ts';
import type { KernelBuilder } from './builder.ts';
import { computeType } from './builder.ts';
import { Indexer, keyOf, maxOf, ZERO, type Index } from './index-map.ts';
import type { Buffer, Expr } from './ir.ts';

/** Ops nested in one expression; WGSL compilers refuse what nests some hundreds deep. */
const MAX_DEPTH = 24;

const depths = new WeakMap<Expr, number>();

function depthOf(value: Expr): number {
  const operands = value.kind === 'op' || value.kind === 'call' ? value.args : [];
  const depth = depths.get(value) ?? operands.reduce((most, operand) => Math.max(most, depthOf(operand) + 1), 0);
  depths.set(value, depth);
  return depth;
}

export class Inliner {
  readonly b: KernelBuilder;
  readonly ix: Indexer;
  /** Where stored nodes live. */
  readonly buffers = new Map<Node, Buffer>();
  /** Elements before those of a node in its buffer, where it shares that. */
  readonly offsets = new Map<Node, number>();
  /** Nodes whose value the recipe has at hand: called with the index asked for. */
  readonly given = new Map<Node, (index: readonly Index[]) => Expr>();
  /** Nodes whose buffer holds fours, and that were asked for an element whose place in its four is not known. */
  readonly notByFours = new Set<Node>();
  /** Nodes read by more than one node of the region: worth a name. */
  private readonly shared: ReadonlySet<Node>;

  constructor(builder: KernelBuilder, shared: ReadonlySet<Node>) {
    this.b = builder;
    this.ix = new Indexer(builder);
    this.shared = shared;
  }

  value(node: Node, index: readonly Index[]): Expr {
    const given = this.given.get(node);
    if (given) return given(index);
    const buffer = this.buffers.get(node);
    if (buffer) return this.load(node, buffer, index);
    // Without the memory, values that meet again (x·f(x)) would be written out once per path to them.
    return this.b.remember(`${node.id}@${index.map(keyOf).join(',')}`, () => this.compute(node, index));
  }

  private compute(node: Node, index: readonly Index[]): Expr {
    const kind = opDef(node.op).kind;
    if (kind === 'view') return this.view(node, index);
    if (kind === 'leaf') return this.leaf(node, index);
    if (kind !== 'pointwise') throw new Error(`${node.op} cannot be computed inside another kernel`);
    const args = node.inputs.map((input) => this.value(input, broadcastIndex(index, input.type.shape)));
    // f16 is a matter of memory: between registers a cast to or from it is nothing.
    if (node.op === 'cast' && args[0].type === computeType(node.type.dtype)) return args[0];
    const { vector, component } = opDef(node.op).wgsl!;
    if (vector && component)
      return this.b.component(this.b.bind(node.op, this.b.vectorOp(node.op, args)), component(node.attrs));
    return this.named(node, this.b.op(node.op, args, node.attrs, node.type.dtype));
  }

  /** Names what the user named, what is used twice, what an inner loop need not repeat, and what nests too deep to read. */
  private named(node: Node, value: Expr): Expr {
    const tooDeep = depthOf(value) >= MAX_DEPTH;
    const worthALet = this.shared.has(node) || node.name || value.level < this.b.level || tooDeep;
    return worthALet ? this.b.bind(node.name ?? node.op, value) : value;
  }

  private load(node: Node, buffer: Buffer, index: readonly Index[]): Expr {
    const place = this.ix.offset(this.ix.flatten(index, node.type.shape), this.offsets.get(node) ?? 0);
    if (buffer.fours) {
      const four = this.ix.fours(place);
      if (!four) this.notByFours.add(node);
      const [at, lane] = four ?? [ZERO, 0];
      return this.b.component(this.b.bind(`${buffer.name}_v`, this.b.load(buffer, this.ix.expr(at))), lane);
    }
    const value = this.b.load(buffer, this.ix.expr(place));
    return this.b.bind(`${buffer.name}_v`, value);
  }

  private leaf(node: Node, index: readonly Index[]): Expr {
    const type = computeType(node.type.dtype);
    if (node.op === 'iota') return this.b.convert(this.ix.expr(index[attrNumber(node.attrs, 'axis')]), type);
    if (node.op === 'constant') {
      const value = attrNumber(node.attrs, 'value');
      return this.b.literal(type === 'bool' ? value !== 0 : value, type);
    }
    throw new Error(`${node.op} "${String(node.attrs.name)}" has no buffer in this kernel`);
  }

  private view(node: Node, index: readonly Index[]): Expr {
    const [x] = node.inputs;
    const { attrs } = node;
    switch (node.op) {
      case 'reshape':
        return this.value(x, reshapeIndex(this.ix, index, node.type.shape, x.type.shape));
      case 'permute': {
        const perm = attrList(attrs, 'perm');
        return this.value(
          x,
          perm.map((_, axis) => index[perm.indexOf(axis)]),
        );
      }
      case 'broadcast':
        return this.value(x, broadcastIndex(index, x.type.shape));
      case 'slice': {
        const [start, step] = [attrList(attrs, 'start'), attrList(attrs, 'step')];
        return this.value(
          x,
          index.map((i, axis) => this.ix.offset(this.ix.scale(i, step[axis]), start[axis])),
        );
      }
      case 'unfold': {
        const [axis, step, dilation] = ['axis', 'step', 'dilation'].map((name) => attrNumber(attrs, name));
        const within = this.ix.scale(index[index.length - 1], dilation);
        const place = this.ix.add(this.ix.scale(index[axis], step), within);
        return this.value(
          x,
          index.slice(0, -1).map((i, a) => (a === axis ? place : i)),
        );
      }
      case 'gather':
        return this.gather(node, index);
      case 'concat':
        return this.concat(node, index);
      case 'pad':
        return this.pad(node, index);
      default:
        throw new Error(`no index map for view ${node.op}`);
    }
  }

  private gather(node: Node, index: readonly Index[]): Expr {
    const [table, rows] = node.inputs;
    const batch = rows.type.shape.length;
    const last = table.type.shape[0] - 1;
    let row = this.value(rows, index.slice(0, batch));
    if (row.type === 'i32') row = this.b.call('max', [row, this.b.literal(0, 'i32')]);
    const bounded = this.b.call('min', [this.b.convert(row, 'u32'), this.b.u32(last)]);
    return this.value(table, [this.ix.bounded(this.b.bind('row', bounded), last), ...index.slice(batch)]);
  }

  /** Pieces outside which an index falls are still evaluated, at an index clamped into them, and not selected. */
  private concat(node: Node, index: readonly Index[]): Expr {
    const axis = attrNumber(node.attrs, 'axis');
    const at = index[axis];
    let result: Expr | undefined;
    let offset = 0;
    for (const piece of node.inputs) {
      const length = piece.type.shape[axis];
      const [first, end] = [offset, offset + length];
      offset = end;
      if (at.base >= end || maxOf(at) < first) continue;
      const inner = this.ix.shiftDown(at, first, length - 1);
      const value = this.value(
        piece,
        index.map((i, a) => (a === axis ? inner : i)),
      );
      const isLater = () => this.b.binary('>=', this.ix.expr(at), this.b.u32(first));
      result = result ? this.b.call('select', [result, value, isLater()]) : value;
    }
    return this.named(node, result!);
  }

  private pad(node: Node, index: readonly Index[]): Expr {
    const [x] = node.inputs;
    const low = attrList(node.attrs, 'low');
    const inside: Expr[] = [];
    const inner = index.map((i, axis) => {
      const [first, last] = [low[axis], low[axis] + x.type.shape[axis] - 1];
      if (first > 0 && i.base < first) inside.push(this.b.binary('>=', this.ix.expr(i), this.b.u32(first)));
      if (maxOf(i) > last) inside.push(this.b.binary('<=', this.ix.expr(i), this.b.u32(last)));
      return this.ix.shiftDown(i, first, x.type.shape[axis] - 1);
    });
    const value = this.value(x, inner);
    if (!inside.length) return value;
    const all = inside.reduce((a, b) => this.b.binary('&&', a, b));
    const condition = all.level < this.b.level ? this.b.bind('inside', all) : all;
    const type = computeType(node.type.dtype);
    const border = attrNumber(node.attrs, 'value');
    const filler = this.b.literal(type === 'bool' ? border !== 0 : border, type);
    return this.named(node, this.b.call('select', [filler, value, condition]));
  }
}

/** Index of an operand that broadcasts to the shape being indexed: its own axes, 0 where its size is 1. */
export function broadcastIndex(index: readonly Index[], shape: Shape): Index[] {
  const lead = index.length - shape.length;
  return shape.map((n, i) => (n === 1 ? ZERO : index[lead + i]));
}

/**
 * Index in `to` of the element at `index` in `from`, both row-major. Axes that agree at the front or the back are kept,
 * so that only the part that is really reshaped pays for divisions.
 */
export function reshapeIndex(ix: Indexer, index: readonly Index[], from: Shape, to: Shape): Index[] {
  let front = 0;
  while (front < Math.min(from.length, to.length) && from[front] === to[front]) front++;
  const flat = ix.flatten(index.slice(front), from.slice(front));
  const inner = to.slice(front);
  return [...index.slice(0, front), ...ix.unflatten(flat, inner)];
}

/** Follows one-to-one views forward: from an index of the first one's operand to an index of the last one. */
export function forwardIndex(ix: Indexer, views: readonly Node[], index: readonly Index[]): Index[] {
  return views.reduce<Index[]>(
    (at, view) => {
      const [x] = view.inputs;
      if (view.op === 'reshape') return reshapeIndex(ix, at, x.type.shape, view.type.shape);
      return attrList(view.attrs, 'perm').map((axis) => at[axis]);
    },
    [...index],
  );
}

/** The neutral element of a reduction, and how partial results combine: two of an invocation, and those of a subgroup. */
export function reducer(
  b: KernelBuilder,
  op: string,
): { neutral: Expr; combine(a: Expr, x: Expr): Expr; across(partial: Expr): Expr } {
  const { reduction } = opDef(op);
  if (!reduction) throw new Error(`${op} is no reduction`);
  const { identity, combine } = reduction;
  const neutral = b.literal(identity, 'f32');
  switch (combine) {
    case 'add':
      return { neutral, combine: (a, x) => b.binary('+', a, x), across: (x) => b.call('subgroupAdd', [x]) };
    case 'max':
      return { neutral, combine: (a, x) => b.op('max', [a, x], {}, 'f32'), across: (x) => largestAcross(b, x) };
  }
}

/** The maximum of a subgroup may drop a NaN, a sum does not. */
function largestAcross(b: KernelBuilder, x: Expr): Expr {
  const spoilt = b.call('select', [b.literal(0, 'f32'), x, b.op('is_nan', [x], {}, 'bool')]);
  return b.binary('+', b.call('subgroupMax', [x]), b.call('subgroupAdd', [spoilt]));
}
