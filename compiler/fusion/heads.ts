/**
 * Queries and keys that are normalised head by head are pieces of one product, whose tiles hold whole heads: the norm of each piece becomes
 * one of all heads, taken where it is wanted, and the product's kernel computes it (passes/partial-statistics.ts).
 *
 * Before: rms_norm(y[:, :64] as heads) · w               After: z = rms_norm(y as heads) · w where head < 4, else y; z[:, :64] as heads
 */
import { labelOf, labelsOf, rebuild, sameShape, sizeOf, type Graph, type Node, type Shape } from '../ir/index.ts';
import { Functional, isBijection, opDef, opTable } from '../ops/index.ts';
import { isRejected } from '../plans/family.ts';
import { tilesFor } from '../plans/registry.ts';
import { holdsStretches, stretchLength } from '../plans/tile-partials.ts';
import { reducesRows } from '../rewrite/row-cones.ts';
import { areApart, stretchOf, type Stretch } from '../rewrite/stretches.ts';
import { choose } from './branches.ts';
import type { PlanningContext } from './graph-pass.ts';
import { copyOf, Flow, isOfLeaves, type ProductValue } from './product-values.ts';

/** Pieces of one product that are normalised: each brings weights to bind, and work for all others. */
const MOST_NORMS = 4;

/** A piece, how it is seen as heads, and what is computed of these. */
interface Heads extends Stretch {
  readonly slice: Node;
  readonly views: readonly Node[];
  readonly ops: readonly Node[];
}

/** Pieces of a product's last value, the heads as long as each other. */
interface Headed {
  readonly length: number;
  readonly slices: readonly Node[];
  readonly heads: readonly Heads[];
}

export function headsInProducts(graph: Graph, context: PlanningContext): Graph {
  const { remarks } = context;
  const flow = new Flow(graph);
  const found = new Map(
    [...flow.productValues()].flatMap(([whole, value]) => {
      const headed = headedAt(whole, value, flow);
      const tiles = headed && tilesFor(value.product, context, 'partial reductions');
      return tiles && !isRejected(tiles) && holdsStretches(headed.length, tiles) ? [[whole, headed] as const] : [];
    }),
  );
  if (!found.size) return graph;
  const pieces = new Map<Node, { whole: Node; slice: Node; views: readonly Node[] }>();
  for (const [whole, { slices, heads }] of found) {
    for (const slice of slices) pieces.set(slice, { whole, slice, views: [] });
    for (const { slice, views, ops } of heads) pieces.set(ops.at(-1)!, { whole, slice, views });
  }
  const normalised = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const f = new Functional(builder);
    f.like = node;
    const piece = pieces.get(node);
    if (piece) {
      const { whole, slice, views } = piece;
      return [slice, ...views].reduce((x, { op, attrs }) => f.op(op, [x], attrs), normalised.get(whole)!);
    }
    const headed = found.get(node);
    if (!headed) return undefined;
    const made = builder.apply(node.op, inputs, node.attrs, node, node.copy);
    normalised.set(node, withHeads(f, made, headed));
    const ends = headed.heads.map(({ ops }) => ops.at(-1)!);
    remarks?.applied('heads', [node, ...ends], `${labelsOf(ends)} are computed where ${labelOf(node)} is stored`);
    return made;
  });
}

/** The pieces of a value that are normalised by heads; undefined where it is no such value. */
function headedAt(whole: Node, { product, views }: ProductValue, flow: Flow): Headed | undefined {
  const slices = flow.users.get(whole)!;
  const stretches = slices.flatMap((slice) => stretchOf(slice) ?? []);
  if (slices.length < 2 || flow.returned.has(whole) || stretches.length < slices.length || !areApart(stretches))
    return undefined;
  const row = whole.type.shape.at(-1)!;
  if (stretchLength(product, views) !== row) return undefined;
  const found = slices.flatMap((slice, i) => headsOf(slice, stretches[i], flow) ?? []);
  const length = found[0] ? lengthOf(found[0]) : 0;
  const isLast = stretches[0].axis === whole.type.shape.length - 1;
  const heads = found.filter((piece) => {
    const { from, to } = piece;
    const isCut = isLast ? from % length === 0 && to % length === 0 && row % length === 0 : row === length;
    return isCut && lengthOf(piece) === length;
  });
  return heads.length && heads.length <= MOST_NORMS ? { length, slices, heads } : undefined;
}

const lengthOf = ({ slice, views }: Heads): number => (views.at(-1) ?? slice).type.shape.at(-1)!;

/** A piece that is seen as heads and normalised; undefined for any other. */
function headsOf(slice: Node, stretch: Stretch, flow: Flow): Heads | undefined {
  const views: Node[] = [];
  let start = slice;
  for (
    let step = flow.stepFrom(start);
    step?.path.length === 1 && isBijection(step.next);
    step = flow.stepFrom(start)
  ) {
    if (flow.returned.has(start)) return undefined;
    views.push(step.next);
    start = step.next;
  }
  const ops = normOf(start, flow);
  return ops.some(reducesRows) && stretchLength(slice, views) === start.type.shape.at(-1)
    ? { ...stretch, slice, views, ops }
    : undefined;
}

/** What is computed of rows, of them and of what is the same for all rows; the last of it has all of their elements. */
function normOf(rows: Node, flow: Flow): Node[] {
  const { shape } = rows.type;
  const short = shape.with(-1, 1);
  const inside = new Set([rows]);
  const isRowWise = (node: Node): boolean => {
    const isOne = sameShape(node.type.shape, short);
    const isOwn =
      opDef(node.op).kind === 'pointwise' ? isOne || sameShape(node.type.shape, shape) : reducesRows(node) && isOne;
    return isOwn && node.inputs.every((input) => inside.has(input) || (isOfLeaves(input) && isOneRow(input)));
  };
  let ops: Node[] = [];
  let last = rows;
  for (let step = flow.stepFrom(last); step; step = flow.stepFrom(last)) {
    const isGrown = step.path.every((node) => isRowWise(node) && inside.add(node));
    if (!isGrown || step.path.some((node) => node !== step!.next && flow.returned.has(node))) break;
    last = step.next;
    if (sameShape(last.type.shape, shape)) ops = [...inside].slice(1);
    if (flow.returned.has(last)) break;
  }
  return ops.every(({ type }) => type.dtype === rows.type.dtype) ? ops : [];
}

const isOneRow = ({ type: { shape } }: Node): boolean => sizeOf(shape.slice(0, -1)) === 1;

/** A value with its pieces normalised. */
function withHeads(f: Functional, whole: Node, { length, heads }: Headed): Node {
  const { shape } = whole.type;
  const [{ axis }] = heads;
  const isLast = axis === shape.length - 1;
  const seen: Shape = isLast ? [...shape.slice(0, -1), shape[axis] / length, length] : shape;
  const rows = f.reshape(whole, seen);
  const all = heads.reduce((rest, { ops, views, slice, from, to }) => {
    const made = new Map([[views.at(-1) ?? slice, rows]]);
    const operand = (input: Node) => made.get(input) ?? rowOf(f, copyOf(f.builder, input));
    for (const node of ops) {
      const attrs = 'axes' in node.attrs ? { ...node.attrs, axes: [seen.length - 1] } : node.attrs;
      made.set(node, f.builder.apply(node.op, node.inputs.map(operand), attrs, node));
    }
    const unit = isLast ? length : 1;
    return choose(f, made.get(ops.at(-1)!)!, rest, { axis, from: from / unit, to: to / unit });
  }, rows);
  return f.reshape(all, shape);
}

/** What is the same for all rows, without axes that say so. */
const rowOf = (f: Functional, x: Node): Node => (x.type.shape.length > 1 ? f.reshape(x, [x.type.shape.at(-1)!]) : x);
