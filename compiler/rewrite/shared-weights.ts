/**
 * Products of parts of one value by one matrix, as a recurrent cell has of its inputs step by step, are one product of the value: it
 * depends on no step, and has rows enough to occupy a device.
 *
 * Before: linear(x[:, 0], w, b), linear(x[:, 1], w, b), …       After: y = linear(x, w, b); y[:, 0], y[:, 1], …
 */
import { labelOf, labelsOf, nodesOf, rebuild, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { attrList, Functional, keepsOrder, multipliesRows, opTable } from '../ops/index.ts';
import type { PassContext } from './pass.ts';
import { lastOf } from './row-cones.ts';
import { areApart, stretchOf } from './stretches.ts';

/** How much larger than the value its product may be, which is in memory all at once: the weights besides. */
const MOST_GROWTH = 4;

/** A product of a part of a value, and the slice that is the part. */
interface Part {
  readonly product: Node;
  readonly slice: Node;
}

export function sharedWeights(graph: Graph, { remarks }: Pick<PassContext, 'remarks'>): Graph {
  const families = familiesIn(graph);
  const parts = new Map(families.flatMap((family) => family.map((part) => [part.product, { part, family }])));
  const now = new Map<Node, Node>();
  const made = new Map<readonly Part[], Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    node.inputs.forEach((input, i) => now.set(input, inputs[i]));
    const { part, family } = parts.get(node) ?? {};
    if (!part || !family) return undefined;
    const f = new Functional(builder);
    f.like = node;
    const x = part.slice.inputs[0];
    const whole = made.get(family) ?? f.op(node.op, [now.get(x)!, ...inputs.slice(1)], node.attrs);
    if (!made.has(family)) {
      const products = family.map(({ product }) => product);
      remarks?.applied('shared-weights', products, `${labelsOf(products)} are one product of ${labelOf(x)}`);
    }
    made.set(family, whole);
    const { start, size } = rowsOf(part.slice, lastOf(whole)!);
    return f.reshape(f.slice(whole, start, size), node.type.shape);
  });
}

/** What a slice takes of a value with rows of another length. */
function rowsOf({ attrs, type }: Node, length: number) {
  const last = type.shape.length - 1;
  return { start: attrList(attrs, 'start').with(last, 0), size: attrList(attrs, 'size').with(last, length) };
}

/** Products by the same matrix of parts that are together all of a value. */
function familiesIn(graph: Graph): (readonly Part[])[] {
  const byOperands = new Map<string, Part[]>();
  for (const product of nodesOf(graph)) {
    const slice = isByMatrix(product) ? sliceBehind(product.inputs[0]) : undefined;
    if (!slice) continue;
    const { axis } = stretchOf(slice)!;
    const others = product.inputs.slice(1).map(({ id }) => id);
    const key = JSON.stringify([product.op, product.attrs, others, slice.inputs[0].id, axis]);
    byOperands.set(key, [...(byOperands.get(key) ?? []), { product, slice }]);
  }
  return [...byOperands.values()].filter(isWhole);
}

/** Whether a product's rows do not hang on where they are. */
const isByMatrix = (node: Node): boolean => multipliesRows(node) && node.inputs[1].type.shape.length === 2;

/** The slice that a value is, along an axis other than its last, behind views that keep rows whole. */
function sliceBehind(node: Node): Node | undefined {
  const stretch = stretchOf(node);
  if (stretch) return stretch.axis < node.type.shape.length - 1 ? node : undefined;
  return keepsOrder(node) && lastOf(node) === lastOf(node.inputs[0]) ? sliceBehind(node.inputs[0]) : undefined;
}

/** Whether parts are all of the value, and their products not too much to be in memory together. */
function isWhole(family: readonly Part[]): boolean {
  const stretches = family.map(({ slice }) => stretchOf(slice)!);
  const [{ product, slice }] = family;
  const x = slice.inputs[0];
  const covered = stretches.reduce((sum, { from, to }) => sum + to - from, 0);
  if (family.length < 2 || !areApart(stretches) || covered < x.type.shape[stretches[0].axis]) return false;
  const results = family.reduce((sum, { product: { type } }) => sum + sizeOf(type.shape), 0);
  return results <= MOST_GROWTH * sizeOf(x.type.shape) + sizeOf(product.inputs[1].type.shape);
}
