/**
 * Row statistics inside products: a layer norm (or RMS norm, or any row kernel) whose only reader is a product's left
 * operand need not go through memory. The product's workgroups compute the statistics of their own rows first, and
 * normalise as they load.
 *
 * It costs a pass over the rows per column of tiles, and saves a dispatch and a round trip of the activations: worth it where
 * a tile staged in workgroup memory is normalised once for all its columns. The subgroup plan of software devices stages
 * nothing and pays for every load (two passes of 2 loads more, against 5 loads and 48 multiply-adds per step of k, and a
 * dispatch costs it little): there the row kernel stays.
 */
import { sameShape, type Node } from '../ir/index.ts';
import { limit, prefersSubgroupProducts, type DeviceSpec } from './device.ts';
import type { Draft } from './regions.ts';
import { isStored } from './storage.ts';

/** Moves the reductions of such row drafts into the drafts of the products that read them. */
export function absorbRows(
  drafts: Map<Node, Draft>,
  { users, returned }: { users: Map<Node, Node[]>; returned: ReadonlySet<Node> },
  device: DeviceSpec,
): void {
  if (prefersSubgroupProducts(device)) return;
  const products = new Map(
    [...drafts.values()].flatMap((d) => (d.anchor?.op === 'matmul' ? [[d.anchor, d] as const] : [])),
  );
  for (const row of [...drafts.values()]) {
    if (row.kind !== 'row' || returned.has(row.root) || !endsAsRows(row)) continue;
    const product = onlyReader(row.root, users, products);
    if (!product || product.reductions.length) continue;
    if (readsOf(row, product, drafts) >= limit(device, 'maxStorageBuffersPerShaderStage')) continue;
    product.reductions = row.reductions;
    drafts.delete(row.root);
  }
}

/** Whether the row kernel gives whole rows of what it reduces, along the last axis, at most regrouped by reshapes. */
function endsAsRows({ root, views, reductions: [first] }: Draft): boolean {
  const { shape } = first.inputs[0].type;
  const last = shape.length - 1;
  const domain = views[0]?.inputs[0] ?? root;
  const wholeRows = domain.type.shape.length === shape.length && domain.type.shape.every((n, i) => n === shape[i]);
  const onlyReshapes = views.every((v) => v.op === 'reshape' && v.type.shape[v.type.shape.length - 1] === shape[last]);
  const endsThere = !views.length || views[views.length - 1] === root;
  return String(first.attrs.axes) === String([last]) && wholeRows && onlyReshapes && endsThere;
}

/** The one product that reads a value, as its left operand, through nothing but reshapes that keep the rows. */
function onlyReader(root: Node, users: Map<Node, Node[]>, products: Map<Node, Draft>): Draft | undefined {
  let node = root;
  for (;;) {
    const readers = users.get(node)!;
    if (readers.length !== 1) return undefined;
    const [reader] = readers;
    if (products.has(reader))
      return reader.inputs[0] === node && reader.inputs[1] !== node && ownsBatch(reader)
        ? products.get(reader)
        : undefined;
    const sameRow = reader.type.shape[reader.type.shape.length - 1] === node.type.shape[node.type.shape.length - 1];
    if (reader.op !== 'reshape' || !sameRow) return undefined;
    node = reader;
  }
}

/** Whether the left operand has all the batch axes of the product: its rows are then the rows of the product. */
const ownsBatch = ({ inputs: [left], type }: Node): boolean =>
  sameShape(left.type.shape.slice(0, -2), type.shape.slice(0, -2));

/** Most buffers the joined kernel can read, its result included. */
function readsOf(row: Draft, product: Draft, drafts: Map<Node, Draft>): number {
  const reads = new Set<Node>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (isStored(node) || (drafts.has(node) && node !== row.root && node !== product.root)) reads.add(node);
    else node.inputs.forEach(visit);
  };
  visit(product.root);
  return reads.size + 1;
}
