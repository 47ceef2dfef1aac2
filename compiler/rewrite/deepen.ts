/**
 * A sum over the batch of a product is one product of more depth: Σₑ Aₑ·Bₑ = [A₁ A₂ …]·[B₁; B₂; …], and the products are never in
 * memory one by one. What scales the rows of each (the weights of experts, say) scales those of its left operand; what is added
 * to the columns is a row more of the right one.
 *
 * Before: reduce_sum((A·B + b) · w) {axes = [0]}        After: [w·A₁ w·A₂ … w]·[B₁; B₂; …; b]
 */
import { broadcastShapes, nodesOf, rebuild, results, sameShape, sizeOf, usersOf } from '../ir/index.ts';
import type { Graph, Node, Shape } from '../ir/index.ts';
import { attrList, Functional, isProduct, isSum, opTable } from '../ops/index.ts';

/** Results that occupy a device, and multiply-adds that need not. */
const MANY_RESULTS = 2 ** 18;
const FEW_MACS = 2 ** 24;

/** Matrices to multiply, batch by batch. */
interface Factors {
  readonly left: Node;
  readonly right: Node;
}

export function deepen(graph: Graph): Graph {
  const nodes = nodesOf(graph);
  const chains = new Map(nodes.map((node) => [node, isOverBatch(node) ? chainTo(node) : undefined]));
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const isOwn = (node: Node) => users.get(node)!.length === 1 && !returned.has(node);
  const made = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    node.inputs.forEach((input, i) => made.set(input, inputs[i]));
    const chain = chains.get(node);
    if (!chain?.every(isOwn) || !pays(node, chain.at(-1)!)) return undefined;
    const f = new Functional(builder);
    f.like = node;
    const factors = factorsOf(f, chain, (old) => made.get(old)!);
    return f.reshape(joined(f, factors, node, chain.at(-1)!.type.dtype), node.type.shape);
  });
}

/** A sum over one axis of a batch. */
function isOverBatch(node: Node): boolean {
  const [axis, ...others] = isSum(node) ? attrList(node.attrs, 'axes') : [];
  return axis !== undefined && !others.length && axis < node.type.shape.length - 2;
}

/** From what is summed back to the product of f32 that it is: all between scales rows or adds to columns. */
function chainTo({ inputs: [from] }: Node): Node[] | undefined {
  const chain = [from];
  for (let node = from; !isProduct(node); chain.push(node)) {
    const next = onwards(node);
    if (!next || !sameShape(next.type.shape, node.type.shape)) return undefined;
    node = next;
  }
  const isFull = chain.at(-1)!.inputs.every(({ type }) => type.dtype === from.type.dtype);
  return isFull ? chain : undefined;
}

/** The operand whose rows a value scales, or to whose columns it adds; the other one. */
function onwards(node: Node): Node | undefined {
  const [x, y] = node.inputs;
  if (x === y) return undefined;
  const sides =
    node.op === 'div'
      ? [[x, y]]
      : [
          [x, y],
          [y, x],
        ];
  return sides.find(([, other]) => other && (isScale(node, other) || isShift(node, other)))?.[0];
}

const isScale = ({ op }: Node, { type: { shape } }: Node): boolean =>
  (op === 'mul' || op === 'div') && (shape.at(-1) ?? 1) === 1;

const isShift = ({ op }: Node, { type: { shape } }: Node): boolean => op === 'add' && (shape.at(-2) ?? 1) === 1;

/** Whether the one product still occupies a device, or is small. */
function pays({ type, inputs: [x] }: Node, { inputs: [left] }: Node): boolean {
  const results = sizeOf(type.shape);
  return results >= MANY_RESULTS || sizeOf(x.type.shape) * left.type.shape.at(-1)! <= FEW_MACS;
}

/** What is summed, as products of factors: of the product itself first, and of what is added to its columns. */
function factorsOf(f: Functional, chain: readonly Node[], now: (old: Node) => Node): Factors[] {
  const [product, ...after] = [...chain].reverse();
  const [left, right] = product.inputs.map(now);
  return after.reduce<Factors[]>(
    (factors, node) => {
      const x = onwards(node)!;
      const other = now(node.inputs.find((input) => input !== x)!);
      if (node.op === 'add') return [...factors, { left: f.constant(1, other.type.dtype, [1, 1]), right: other }];
      return factors.map((pair) => ({ ...pair, left: f.op(node.op, [pair.left, other]) }));
    },
    [{ left, right }],
  );
}

/** One product of all factors, the summed axis of the batch part of its depth. */
function joined(
  f: Functional,
  factors: readonly Factors[],
  { attrs, inputs: [x] }: Node,
  dtype: Node['type']['dtype'],
) {
  const [axis] = attrList(attrs, 'axes');
  const [m, n] = x.type.shape.slice(-2);
  const batch = x.type.shape.slice(0, -2);
  const lefts = factors.map(({ left }) =>
    asDepth(f, left, { axis, batch, size: [m, left.type.shape.at(-1) ?? 1] }, 'left'),
  );
  const rights = factors.map(({ right }) =>
    asDepth(f, right, { axis, batch, size: [right.type.shape.at(-2) ?? 1, n] }, 'right'),
  );
  return f.matmul(sideBySide(f, lefts, -1), sideBySide(f, rights, -2), dtype);
}

/** Matrices of a batch with an axis of the batch beside what they contract; other axes of the batch may be 1 for all. */
function asDepth(
  f: Functional,
  x: Node,
  { axis, batch, size }: { axis: number; batch: Shape; size: readonly [rows: number, columns: number] },
  side: 'left' | 'right',
): Node {
  const missing = batch.length + 2 - x.type.shape.length;
  const aligned = f.reshape(x, [...new Array<number>(missing).fill(1), ...x.type.shape]);
  const own = aligned.type.shape.slice(0, -2).with(axis, batch[axis]);
  const whole = f.broadcast(aligned, [...own, ...size]);
  const others = [...batch.keys()].filter((i) => i !== axis);
  const [row, column] = [batch.length, batch.length + 1];
  const [rows, columns] = size;
  const kept: number[] = others.map((i) => own[i]);
  if (side === 'left')
    return f.reshape(f.permute(whole, [...others, row, axis, column]), [...kept, rows, batch[axis] * columns]);
  return f.reshape(f.permute(whole, [...others, axis, row, column]), [...kept, batch[axis] * rows, columns]);
}

/** Matrices side by side along their rows or columns, each broadcast to the batch of all. */
function sideBySide(f: Functional, parts: readonly Node[], axis: -1 | -2): Node {
  const batches = parts.map(({ type }) => type.shape.slice(0, -2));
  const batch = batches.reduce<Shape>((a, b) => broadcastShapes(a, b)!, []);
  const whole = parts.map((part) => f.broadcast(part, [...batch, ...part.type.shape.slice(-2)]));
  return f.concat(whole, batch.length + 2 + axis);
}
