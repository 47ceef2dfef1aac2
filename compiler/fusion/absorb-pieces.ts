/**
 * Statistics in pieces (pieces.ts) become part of the kernels of products: reductions of pieces of the one that computes the
 * values, and the totals of the pieces, with all that is made of them, of the one that reads it.
 */
import type { Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { DeviceSpec } from '../device.ts';
import { tilesOf } from '../plans/registry.ts';
import { pieceTile, sharesTotals } from '../plans/tile-partials.ts';
import { resultsOf, type Draft } from './regions.ts';
import { isStored } from './storage.ts';
import { sameRows } from './union.ts';

interface Surroundings {
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
  /** The draft that computes each absorbed node. */
  readonly owner: Map<Node, Draft>;
}

/** Moves the reductions of such row drafts into the drafts of products. Returns the statistics that products write. */
export function absorbPieces(drafts: Map<Node, Draft>, flow: Surroundings, device: DeviceSpec): Set<Node> {
  const written = new Set<Node>();
  for (const row of byNumber(drafts)) {
    const product = row.kind === 'row' ? productOf(row, drafts) : undefined;
    const tiles = product && tilesOf(product.anchor!, device);
    if (!tiles) continue;
    const [reduction] = row.reductions;
    const { shape } = reduction.inputs[0].type;
    const tile = pieceTile(shape, reduction.attrs.axes as number[], product.anchor!, product.views, tiles);
    if (!tile) continue;
    const reductions = [...(product.pieces?.reductions ?? []), reduction];
    product.pieces = { ...tile, reductions };
    product.more.push({ node: reduction, views: [], anchor: reductions[0] });
    drafts.delete(row.root);
    flow.owner.set(reduction, product);
    written.add(reduction);
  }
  absorbTotals(drafts, flow, device, written);
  return written;
}

const byNumber = (drafts: Map<Node, Draft>): Draft[] => [...drafts.values()].sort((a, b) => a.root.id - b.root.id);

/** The product whose last value a row kernel reduces, alone or with what was reduced of it before. */
function productOf({ root, reductions: [reduction, ...others] }: Draft, drafts: Map<Node, Draft>): Draft | undefined {
  if (others.length || root !== reduction) return undefined;
  const sources = sourcesOf(reduction.inputs[0], (node) => drafts.has(node));
  const products = sources.flatMap((node) => drafts.get(node) ?? []).filter(({ kind }) => kind === 'matmul');
  return products.find((product) => {
    const known = new Set([product.root, ...(product.pieces?.reductions ?? [])]);
    return sources.every((node) => known.has(node));
  });
}

/** What pointwise ops and reshapes compute a value from, numbers aside. Each value is visited once: chains meet again and again. */
function sourcesOf(from: Node, isSource: (node: Node) => boolean): Node[] {
  const sources = new Set<Node>();
  const seen = new Set([from]);
  for (const node of seen) {
    const { kind } = opDef(node.op);
    const isInside = kind === 'pointwise' || node.op === 'reshape';
    if (isSource(node) || (kind === 'leaf' ? isStored(node) : !isInside)) sources.add(node);
    else node.inputs.forEach((input) => seen.add(input));
  }
  return [...sources];
}

/** Whether pointwise ops and reshapes compute a value from nothing but such sources. The first that is not ends the search. */
function isMadeOf(from: Node, isSource: (node: Node) => boolean): boolean {
  let isAny = false;
  const seen = new Set([from]);
  for (const node of seen) {
    const { kind } = opDef(node.op);
    if (isSource(node)) isAny = true;
    else if (kind === 'pointwise' || node.op === 'reshape') node.inputs.forEach((input) => seen.add(input));
    else if (kind !== 'leaf' || isStored(node)) return false;
  }
  return isAny;
}

/** Totals of what products write, for the one product that everything made of them is for. */
function absorbTotals(
  drafts: Map<Node, Draft>,
  flow: Surroundings,
  device: DeviceSpec,
  written: ReadonlySet<Node>,
): void {
  const totals = new Set<Node>();
  const isStatistic = (node: Node) => written.has(node) || totals.has(node);
  const rows = byNumber(drafts).filter((row) => {
    if (row.kind !== 'row' || !row.reductions.every(({ inputs }) => isMadeOf(inputs[0], isStatistic))) return false;
    row.reductions.forEach((node) => totals.add(node));
    return true;
  });
  const products = new Map([...drafts.values()].flatMap((draft) => (draft.anchor ? [[draft.anchor, draft]] : [])));
  for (const row of rows) {
    const loaded = loadedBy(row, flow, totals);
    const product = loaded && products.get(loaded.reader);
    const tiles = product && tilesOf(product.anchor!, device);
    if (!tiles) continue;
    const known = product.totals ?? [];
    const [first] = row.reductions;
    if (!sharesTotals(tiles, first) || !known.every((node) => sameRows(node, first))) continue;
    product.totals = [...known, ...row.reductions].sort((a, b) => a.id - b.id);
    drafts.delete(row.root);
    for (const node of loaded.values) flow.owner.set(node, product);
  }
}

/** The one contraction that reads what is made of a row kernel's results, and all the values on the way. */
function loadedBy(
  row: Draft,
  { users, returned }: Surroundings,
  totals: ReadonlySet<Node>,
): { reader: Node; values: ReadonlySet<Node> } | undefined {
  const values = new Set([...row.reductions, ...resultsOf(row).map(({ node }) => node)]);
  const readers = new Set<Node>();
  for (const node of values) {
    if (returned.has(node)) return undefined;
    for (const user of users.get(node)!) {
      const { kind } = opDef(user.op);
      if (kind === 'contract') readers.add(user);
      else if (kind === 'pointwise' || kind === 'view' || totals.has(user)) values.add(user);
      else return undefined;
    }
  }
  const [reader, ...others] = readers;
  return reader && !others.length ? { reader, values } : undefined;
}
