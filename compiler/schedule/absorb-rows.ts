/**
 * Row statistics inside products: a layer norm (or RMS norm, or any row kernel) whose only reader is a product's left
 * operand need not go through memory. The product's workgroups compute the statistics of their own rows first, and
 * normalise as they load.
 *
 * It costs a pass over the rows per column of tiles, and saves a dispatch and a round trip of the activations: worth it where
 * a tile staged in workgroup memory is normalised once for all its columns. The subgroup plan of software devices stages
 * nothing and pays for every load (two passes of 2 loads more, against 5 loads and 48 multiply-adds per step of k, and a
 * dispatch costs it little): there the row kernel stays.
 *
 * Others may read the rows too, as the gradient of the product does in training: the product's first column of tiles then
 * writes them, and whatever else the row kernel gave (join.ts).
 */
import { labelOf, labelsOf, sameShape, type Node, type Remarks } from '../ir/index.ts';
import { limit, prefersSubgroupProducts, tooManyBuffers, type DeviceSpec } from './device.ts';
import { tilesOf } from './plan.ts';
import { resultsOf, type Draft } from './regions.ts';
import { isStored } from './storage.ts';

/** Moves the reductions of such row drafts into the drafts of the products that read them. */
export function absorbRows(drafts: Map<Node, Draft>, flow: Surroundings, device: DeviceSpec, remarks?: Remarks): void {
  const products = new Map(
    [...drafts.values()].flatMap((d) => (d.anchor?.op === 'matmul' ? [[d.anchor, d] as const] : [])),
  );
  for (const row of [...drafts.values()]) {
    if (row.kind !== 'row') continue;
    const reader = onlyReader(row.root, flow.users, products);
    const why = typeof reader === 'string' ? reader : staysApart(row, reader, { drafts, flow, device });
    if (typeof reader === 'string' || why) {
      remarks?.missed('absorb-rows', [row.root, ...row.reductions], `the rows keep their own kernel: ${why}`);
      continue;
    }
    remarks?.applied(
      'absorb-rows',
      [row.root, reader.anchor!],
      `${labelOf(reader.anchor!)} computes ${labelsOf(row.reductions)} of the rows that it reads`,
    );
    reader.reductions = row.reductions;
    drafts.delete(row.root);
  }
}

interface Surroundings {
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
}

/** Why a product does not take in the rows that it alone reads; undefined when it does. */
function staysApart(
  row: Draft,
  product: Draft,
  { drafts, flow, device }: { drafts: Map<Node, Draft>; flow: Surroundings; device: DeviceSpec },
): string | undefined {
  if (prefersSubgroupProducts(device))
    return `${device.name} computes products by subgroups that stage nothing, so ${labelOf(product.anchor!)} would normalise anew for every tile`;
  if (flow.returned.has(row.root)) return `${labelOf(row.root)} is a result of the graph`;
  if (!endsAsRows(row)) return `${labelOf(row.root)} is not the rows that are reduced, along the last axis`;
  if (product.reductions.length) return `${labelOf(product.anchor!)} has taken in other rows`;
  const reads = readsOf(row, product, drafts);
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  return reads > most ? tooManyBuffers(reads, most, `with ${labelOf(product.root)}`) : undefined;
}

/**
 * A product and a row kernel that gives the rows of its left operand, all of them in memory: others read them as well.
 * `buffers`: values in memory.
 */
export function rowsUnion(
  row: Draft,
  product: Draft,
  device: DeviceSpec,
  buffers: ReadonlySet<Node>,
): Draft | undefined {
  const { anchor } = product;
  if (row.kind !== 'row' || anchor?.op !== 'matmul' || !tilesOf(anchor, device) || !ownsBatch(anchor)) return undefined;
  if (product.reductions.length || product.totals?.length || product.pieces) return undefined;
  const operand = resultsOf(row).find(({ node }) => node === behindReshapes(anchor.inputs[0]));
  if (!operand || !endsAsRows({ ...row, root: operand.node, views: [...operand.views] })) return undefined;
  // Of rows that a tile does not compute, it knows nothing.
  const rows = new Set(resultsOf(row).map(({ node }) => node));
  if (readsBesideLeft(product, rows, buffers)) return undefined;
  const [first] = row.reductions;
  const more = resultsOf(row).map((result) => ({ ...result, anchor: first }));
  return { ...product, reductions: row.reductions, more: [...product.more, ...more] };
}

/** Whether a product's kernel reads any of some values other than as the product's left operand. */
function readsBesideLeft(product: Draft, values: ReadonlySet<Node>, buffers: ReadonlySet<Node>): boolean {
  const { anchor } = product;
  const seen = new Set<Node>(resultsOf(product).map(({ node }) => node));
  const reads = (node: Node): boolean => {
    if (values.has(node)) return true;
    if (seen.has(node) || isStored(node) || buffers.has(node)) return false;
    seen.add(node);
    return inputsOf(node).some(reads);
  };
  const inputsOf = (node: Node) => (node === anchor ? node.inputs.slice(1) : node.inputs);
  return [...seen].flatMap(inputsOf).some(reads);
}

function behindReshapes(node: Node): Node {
  return node.op === 'reshape' ? behindReshapes(node.inputs[0]) : node;
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

/**
 * The one product that reads a value, as its left operand, through nothing but reshapes that keep the rows; or why there
 * is none.
 */
function onlyReader(root: Node, users: Map<Node, Node[]>, products: Map<Node, Draft>): Draft | string {
  let node = root;
  for (;;) {
    const readers = users.get(node)!;
    if (readers.length !== 1) return `${labelOf(node)} has ${readers.length} readers (${labelsOf(readers)})`;
    const [reader] = readers;
    const product = products.get(reader);
    if (product) {
      if (reader.inputs[0] !== node || reader.inputs[1] === node)
        return `${labelOf(reader)} reads them as its right operand`;
      return ownsBatch(reader) ? product : `${labelOf(reader)} reads them for several matrices of its batch`;
    }
    const sameRow = reader.type.shape[reader.type.shape.length - 1] === node.type.shape[node.type.shape.length - 1];
    if (reader.op !== 'reshape' || !sameRow)
      return `the reader of ${labelOf(node)} is no matrix product but ${labelOf(reader)}`;
    node = reader;
  }
}

/** Whether the left operand has all the batch axes of the product: its rows are then the rows of the product. */
const ownsBatch = ({ inputs: [left], type }: Node): boolean =>
  sameShape(left.type.shape.slice(0, -2), type.shape.slice(0, -2));

/** Most buffers the joined kernel can read. */
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
  return reads.size;
}
