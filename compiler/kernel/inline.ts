/**
 * The value of a graph node at an index, as kernel IR. Stored values are loaded; pointwise ops are computed on the spot;
 * views only change the index; results of the kernel's own anchor (the product so far, a row's sum) are given.
 */
import type { DType, Node, Shape } from '../ir/index.ts';
import { boxOf, broadcastIndex, combinerOf, identityOf, opDef, viewOf, type Source } from '../ops/index.ts';
import { computeType, type KernelBuilder } from './builder.ts';
import { Indexer, keyOf, maxOf, type ExprAtom, type Index } from './index-map.ts';
import type { Buffer, Expr, ScalarType } from './ir.ts';

export { broadcastIndex, reshapeIndex } from '../ops/index.ts';

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
  /** Nodes whose value the lowering has at hand, by a function of the index asked for. */
  readonly given = new Map<Node, (index: readonly Index[]) => Expr>();
  /** Nodes read by more than one node of the region: worth a name. */
  private readonly shared: ReadonlySet<Node>;

  constructor(builder: KernelBuilder, shared: ReadonlySet<Node>) {
    this.b = builder;
    this.ix = new Indexer(builder, (node, index) => this.value(node, index));
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
    const { kind, wgsl } = opDef(node.op);
    if (kind === 'view') return this.view(node, index);
    if (kind === 'leaf') return this.leaf(node, index);
    if (!wgsl) throw new Error(`${node.op} cannot be computed inside another kernel`);
    const args = node.inputs.map((input) => this.value(input, broadcastIndex(index, input.type.shape)));
    // f16 is a matter of memory: between registers a cast to or from it is nothing.
    if (wgsl.isConversion && args[0].type === computeType(node.type.dtype)) return args[0];
    const { vector, component } = wgsl;
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
    const four = buffer.fours && this.ix.fours(place);
    if (four) {
      const [at, lane] = four;
      return this.b.component(this.b.bind(`${buffer.name}_v`, this.b.loadFour(buffer, this.ix.expr(at))), lane);
    }
    const value = this.b.load(buffer, this.ix.expr(place));
    return this.b.bind(`${buffer.name}_v`, value);
  }

  private leaf(node: Node, index: readonly Index[]): Expr {
    const value = opDef(node.op).leaf?.element?.(node.attrs, index);
    if (typeof value === 'number') return numeral(this.b, value, node.type.dtype);
    if (value) return this.b.convert(this.ix.expr(value), computeType(node.type.dtype));
    throw new Error(`${node.op} "${String(node.attrs.name)}" has no buffer in this kernel`);
  }

  /**
   * The element that the view's record points at. Sources that hold only within bounds are evaluated beyond them too, at an
   * index clamped into them, and not selected.
   */
  private view(node: Node, index: readonly Index[]): Expr {
    const { sources, filler } = viewOf(node.op);
    const possible = this.possible(sources(this.ix, index, node));
    const isAlone = possible.length === 1 && (!filler || !possible[0].tests.length);
    const valueOf = ({ source }: Possible): Expr => {
      const operand = node.inputs[source.operand];
      return this.value(operand, this.inside(source, operand.type.shape));
    };
    if (isAlone) return valueOf(possible[0]);
    const start = filler && numeral(this.b, filler(node.attrs), node.type.dtype);
    const value = possible.reduce<Expr | undefined>((before, next) => {
      const holds = before && next.tests.length ? this.all(next.tests) : undefined;
      const own = valueOf(next);
      return before && holds && before !== own ? this.b.call('select', [before, own, holds]) : own;
    }, start);
    if (!value)
      throw new Error(`internal error: the record of ${node.op} says of an element that it comes from nowhere`);
    return this.named(node, value);
  }

  /** The sources that an element may come from: none before the last that it comes from for certain, if no other replaces it. */
  private possible(sources: readonly Source<ExprAtom>[]): Possible[] {
    const found = sources.flatMap((source): Possible[] => {
      const { index, bounds = [] } = source;
      const tests = bounds.flatMap(({ axis, from, to = Infinity }): Test[] => [
        ...(index[axis].base < from ? [{ at: index[axis], op: '>=', than: from } as const] : []),
        ...(maxOf(index[axis]) >= to ? [{ at: index[axis], op: '<=', than: to - 1 } as const] : []),
      ]);
      const isNever = tests.some(({ at, op, than }) => (op === '>=' ? maxOf(at) < than : at.base > than));
      return isNever ? [] : [{ source, tests }];
    });
    const certain = found.findLastIndex(({ tests }) => !tests.length);
    return found.slice(Math.max(certain, 0));
  }

  private all(tests: readonly Test[]): Expr {
    const each = tests.map(({ at, op, than }) => this.b.binary(op, this.ix.expr(at), this.b.u32(than)));
    const all = each.reduce((a, b) => this.b.binary('&&', a, b));
    return all.level < this.b.level ? this.b.bind('inside', all) : all;
  }

  /** A source's index as its operand counts, kept inside of it where the bounds do not hold. */
  private inside({ index, bounds = [] }: Source<ExprAtom>, shape: Shape): Index[] {
    const inner = [...index];
    for (const { axis, from } of bounds) inner[axis] = this.ix.shiftDown(index[axis], from, shape[axis] - 1);
    return inner;
  }
}

/** A source of a view's elements, and what must hold for it. */
interface Possible {
  readonly source: Source<ExprAtom>;
  readonly tests: readonly Test[];
}

export interface Test {
  readonly at: Index;
  readonly op: '>=' | '<=';
  readonly than: number;
}

function numeral(b: KernelBuilder, value: number, dtype: DType): Expr {
  const type = computeType(dtype);
  return b.literal(type === 'bool' ? value !== 0 : value, type);
}

/**
 * Follows views forward that have each element once: from an index of the first one's operand to an index of the last one. Of a box, where
 * the element is in it (crops.ts).
 */
export function forwardIndex(ix: Indexer, views: readonly Node[], index: readonly Index[]): Index[] {
  return views.reduce<Index[]>(
    (at, view) => {
      const box = boxOf(view);
      if (box) return at.map((i, axis) => ix.inside(i, box[axis], view.type.shape[axis]));
      const { placeOf } = viewOf(view.op);
      if (!placeOf) throw new Error(`internal error: ${view.op} does not have every element once`);
      return [...placeOf(ix, at, view)];
    },
    [...index],
  );
}

/** A reduction in a kernel: of no elements, of two partial results of an invocation, and of those of a subgroup. */
export interface Reducer {
  /** Of partial results. */
  readonly type: ScalarType;
  readonly neutral: Expr;
  combine(a: Expr, x: Expr): Expr;
  across(partial: Expr, lanes: number): Expr;
}

export function reducer(b: KernelBuilder, { op, type: { dtype } }: Pick<Node, 'op' | 'type'>): Reducer {
  const combiner = combinerOf(op);
  const { combine, subgroup } = combiner;
  const type = computeType(dtype);
  const operator = opDef(combine).wgsl?.operator;
  const both = (a: Expr, x: Expr) => (operator ? b.binary(operator, a, x) : b.op(combine, [a, x], {}, type));
  return {
    type,
    neutral: b.literal(identityOf(combiner, type), type),
    combine: both,
    across: (x, lanes) => {
      if (!subgroup) return shuffled(b, both, x, lanes);
      const all = b.call(subgroup.fn, [x]);
      return subgroup.dropsNaN && type === 'f32' ? b.binary('+', all, spoiling(b, x)) : all;
    },
  };
}

/** NaN where a lane's number is: the maximum of a subgroup may drop it, a sum does not. */
function spoiling(b: KernelBuilder, x: Expr): Expr {
  const spoilt = b.call('select', [b.literal(0, 'f32'), x, b.op('is_nan', [x], {}, 'bool')]);
  return b.call('subgroupAdd', [spoilt]);
}

/** Every lane with its neighbour, then every two with the two beside them, and so on: all end up with the same. */
function shuffled(b: KernelBuilder, combine: Reducer['combine'], x: Expr, lanes: number): Expr {
  let all = x;
  for (let apart = 1; apart < lanes; apart *= 2) {
    const own = b.bind('part', all);
    all = combine(own, b.call('subgroupShuffleXor', [own, b.u32(apart)]));
  }
  return all;
}
