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
import { labelOf, labelsOf, sameShape, sizeOf, type Node, type Remarks } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { keepsRows, whyNotComputable } from './computable.ts';
import { TILE } from './cost.ts';
import { limit, prefersSubgroupProducts, tooManyBuffers, type DeviceSpec } from '../device.ts';
import { isRejected } from '../plans/family.ts';
import { tilesFor } from '../plans/registry.ts';
import { domainOf, resultsOf, type Draft, type Result } from './regions.ts';
import { insideOf } from './inside.ts';
import { isStored } from './storage.ts';
import { fullShape } from './union.ts';

/** Rows that products compute, by the row drafts that they were. */
export type Absorbed = ReadonlyMap<Draft, Node>;

/** Moves the reductions of such row drafts into the drafts of the products that read them. */
export function absorbRows(
  drafts: Map<Node, Draft>,
  flow: Surroundings,
  device: DeviceSpec,
  remarks?: Remarks,
): Absorbed {
  const absorbed = new Map<Draft, Node>();
  const products = new Map(
    [...drafts.values()].flatMap((d) => (d.anchor?.op === 'matmul' ? [[d.anchor, d] as const] : [])),
  );
  for (const row of [...drafts.values()]) {
    if (row.kind !== 'row') continue;
    const reader = onlyReader(row.root, flow.users, products);
    const why = typeof reader === 'string' ? reader : staysApart(row, reader, { drafts, flow, device });
    if (typeof reader === 'string' || why) {
      // Of several readers one may still take the rows, and write them for the others (`rowsUnion`).
      if (!isOperand(row.root, flow.users, products)) remarkApart(row.root, row, why!, remarks);
      continue;
    }
    remarks?.applied(
      'absorb-rows',
      [row.root, reader.anchor!],
      `${labelOf(reader.anchor!)} computes ${labelsOf(row.reductions)} of the rows that it reads`,
    );
    reader.reductions = row.reductions;
    absorbed.set(row, reader.anchor!);
    drafts.delete(row.root);
  }
  return absorbed;
}

/** Why rows, of which somebody reads `value`, keep their kernel. */
export const remarkApart = (value: Node, { reductions }: Draft, why: string, remarks?: Remarks): void =>
  remarks?.missed('absorb-rows', [value, ...reductions], `the rows keep their own kernel: ${why}`);

/** Whether one of several readers is a product of which the rows are the left operand. */
function isOperand(root: Node, users: Map<Node, Node[]>, products: Map<Node, Draft>): boolean {
  const readers = users.get(root)!;
  const leads = (reader: Node): boolean =>
    products.has(reader) || (keepsRows(reader) && users.get(reader)!.some(leads));
  return readers.length > 1 && readers.some(leads);
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
  if (flow.returned.has(row.root)) return `${labelOf(row.root)} is a result of the graph`;
  const isRead = (node: Node) => isStored(node) || (drafts.has(node) && node !== row.root && node !== product.root);
  const why = unfit(row, product, { node: row.root, views: row.views }, device, isRead);
  if (why) return why;
  const kernel = { ...product, reductions: row.reductions, results: resultsOf(product) };
  const apart = whyNotComputable(kernel, (node) => isRead(node) && !row.reductions.includes(node));
  if (apart) return apart;
  const reads = insideOf([product.root], isRead).reads.size;
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  return reads > most ? tooManyBuffers(reads, most, `with ${labelOf(product.root)}`) : undefined;
}

/** Why a product does not compute rows that are its left operand, whoever else reads them. `isRead`: from memory. */
function unfit(
  row: Draft,
  product: Draft,
  operand: Result,
  device: DeviceSpec,
  isRead: (node: Node) => boolean,
): string | undefined {
  const anchor = product.anchor!;
  const label = labelOf(anchor);
  if (prefersSubgroupProducts(device))
    return `${device.name} computes products by subgroups that stage nothing, so ${label} would normalise anew for every tile`;
  if (!endsAsRows(operand, row.reductions[0]))
    return `${labelOf(operand.node)} is not the rows that are reduced, along the last axis`;
  if (product.reductions.length || product.totals?.length || product.pieces) return `${label} has taken in other rows`;
  const work = workOf(row, isRead);
  const isRepeated = anchor.type.shape.at(-1)! > TILE;
  if (isRepeated && work > MOST_WORK)
    return `an element of them takes ${work} operations, which every column of tiles would do again`;
  return undefined;
}

/** Scalar operations on an element, in all passes over a row, that are little beside what a tile does with it: a norm takes 8. */
const MOST_WORK = 16;

/** Scalar operations that a row kernel does on one element of a row, in all its passes. */
function workOf(row: Draft, isRead: (node: Node) => boolean): number {
  const length = sizeOf(fullShape(row));
  const own = new Set(resultsOf(row).map(({ node }) => node));
  const reductions = new Set(row.reductions);
  /** What a pass computes of an element: what earlier passes have given is there. */
  const pass = (values: Iterable<Node>) =>
    insideOf(values, (node) => reductions.has(node) || (isRead(node) && !own.has(node)));
  const flops = (node: Node) => {
    const { kind, cost } = opDef(node.op);
    const isElement = kind === 'pointwise' && sizeOf(node.type.shape) === length;
    return isElement ? cost([], node.attrs, { dtype: node.type.dtype, shape: [] }).flops : 0;
  };
  // Reductions that need the same earlier ones share a pass.
  const passes = new Map<string, Node[]>();
  for (const reduction of row.reductions) {
    const needed = [...pass(reduction.inputs).reads].filter((node) => reductions.has(node));
    const key = needed
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .join(' ');
    passes.set(key, [...(passes.get(key) ?? []), ...reduction.inputs]);
  }
  const last = [...own].filter((node) => !reductions.has(node));
  const all = [...passes.values(), last].flatMap((values) => [...pass(values).members]);
  return all.reduce((sum, node) => sum + flops(node), 0);
}

/** The result of a row kernel that is a product's left operand. */
export const operandOf = (row: Draft, { anchor }: Draft): Result | undefined =>
  row.kind === 'row' && anchor?.op === 'matmul' ? operandAmong(resultsOf(row), anchor.inputs[0]) : undefined;

/**
 * A product and the row kernel that gives its left operand, all of the rows in memory: others read them as well. Why they stay two
 * kernels, where they do. `buffers`: values in memory.
 */
export function rowsUnion(
  row: Draft,
  product: Draft,
  operand: Result,
  { device, buffers }: { device: DeviceSpec; buffers: ReadonlySet<Node> },
): Draft | string {
  const anchor = product.anchor!;
  const label = labelOf(anchor);
  const own = new Set(resultsOf(row).map(({ node }) => node));
  const why = unfit(row, product, operand, device, (node) => isStored(node) || (buffers.has(node) && !own.has(node)));
  if (why) return why;
  const tiles = tilesFor(anchor, device);
  if (isRejected(tiles)) return `${label} has no tiles: ${tiles.rejected}`;
  if (!ownsBatch(anchor)) return `${label} reads them for several matrices of its batch`;
  // Of rows that a tile does not compute, it knows nothing.
  if (readsBesideLeft(product, own, buffers)) return `${labelOf(product.root)} reads them once more, at other places`;
  const [first] = row.reductions;
  const more = resultsOf(row).map((result) => ({ ...result, anchor: first }));
  return { ...product, reductions: row.reductions, more: [...product.more, ...more] };
}

/** The result that an operand is, behind reshapes that keep the rows. */
function operandAmong(results: readonly Result[], operand: Node): Result | undefined {
  const found = results.find(({ node }) => node === operand);
  return found ?? (keepsRows(operand) ? operandAmong(results, operand.inputs[0]) : undefined);
}

/** Whether a product's kernel reads any of some values other than as the product's left operand. */
function readsBesideLeft(product: Draft, values: ReadonlySet<Node>, buffers: ReadonlySet<Node>): boolean {
  const { anchor } = product;
  const own = new Set(resultsOf(product).map(({ node }) => node));
  const { reads } = insideOf(
    own,
    (node) => values.has(node) || isStored(node) || (buffers.has(node) && !own.has(node)),
    (node) => (node === anchor ? node.inputs.slice(1) : node.inputs),
  );
  return [...values].some((node) => reads.has(node));
}

/** Whether a row kernel's result is whole rows of what it reduces, along the last axis, at most regrouped by reshapes. */
function endsAsRows({ node, views }: Result, reduction: Node): boolean {
  const { shape } = reduction.inputs[0].type;
  const isLast = String(reduction.attrs.axes) === String([shape.length - 1]);
  const endsThere = !views.length || views[views.length - 1] === node;
  return isLast && sameShape(domainOf({ node, views }), shape) && views.every(keepsRows) && endsThere;
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
    if (!keepsRows(reader)) return `the reader of ${labelOf(node)} is no matrix product but ${labelOf(reader)}`;
    node = reader;
  }
}

/** Whether the left operand has all the batch axes of the product: its rows are then the rows of the product. */
const ownsBatch = ({ inputs: [left], type }: Node): boolean =>
  sameShape(left.type.shape.slice(0, -2), type.shape.slice(0, -2));
