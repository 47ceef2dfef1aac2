/**
 * Partial statistics (pieces.ts) become part of the kernels of products: reductions of pieces of the one that computes the
 * values, and the totals of the pieces, with all that is made of them, of the one that reads it.
 */
import { labelOf, type Node } from '../../ir/index.ts';
import { tooManyBuffers } from '../../device.ts';
import { opDef, keepsOrder } from '../../ops/index.ts';
import { isRejected, type Need, type Rejection } from '../../plans/family.ts';
import { tilesFor, type Plan } from '../../plans/registry.ts';
import { partialTile, sharesTotals, type Tiles } from '../../plans/tile-partials.ts';
import type { FusionContext } from '../context.ts';
import { byRoot, givenBy, type Fusion, type FusionGroup, type Result } from '../group.ts';
import { replanned } from '../planned.ts';
import { sameRows } from '../rows.ts';
import { partsOf } from '../slice.ts';
import { isOfLeaves, onlyReader } from '../product-values.ts';
import { isStored } from '../storage.ts';

type Groups = Map<Node, FusionGroup>;

export function partialStatistics(fusion: Fusion, context: FusionContext): Fusion {
  const groups: Groups = new Map(fusion.groups.map((group) => [group.root, group]));
  const partial = fusePieces(groups, context);
  fuseStretches(groups, context);
  fuseTotals(groups, context, partial);
  return { ...fusion, groups: [...groups.values()] };
}

/** Moves reductions of pieces into the products that compute the values. Returns these statistics. */
function fusePieces(groups: Groups, context: FusionContext): Set<Node> {
  const partial = new Set<Node>();
  for (const row of inOrder(groups)) {
    const product = row.kind === 'row' ? productOf(row, groups, context) : undefined;
    if (!product) continue;
    const [reduction] = row.reductions;
    if (take(row, product, groups, context, 'partial reductions', (tiles) => withPiece(product, reduction, tiles)))
      partial.add(reduction);
  }
  return partial;
}

/** A product that reduces pieces of its result; undefined where they do not lie in its tiles. */
function withPiece(product: FusionGroup, reduction: Node, tiles: Tiles): FusionGroup | undefined {
  const tile = partialTile(reduction, product.anchor!, product.views, tiles);
  if (!tile || tile.rows === 1) return undefined;
  const reductions = [...(product.pieces?.reductions ?? []), reduction];
  const results = [...product.results, { node: reduction, views: [], anchor: reductions[0] }];
  return { ...product, pieces: { ...tile, reductions }, results };
}

/** Moves whole kernels of rows that are stretches of a product's, as norms of heads are, into the product. */
function fuseStretches(groups: Groups, context: FusionContext): void {
  for (const row of inOrder(groups)) {
    const product = row.kind === 'row' ? productOfRows(row, groups, context) : undefined;
    if (product)
      take(row, product, groups, context, 'partial reductions', (tiles) => withStretches(product, row, tiles));
  }
}

/** A product that reduces stretches of its rows, and goes on with what they are reduced to. */
function withStretches(product: FusionGroup, row: FusionGroup, tiles: Tiles): FusionGroup | undefined {
  const { reductions } = row;
  const tile = partialTile(reductions[0], product.anchor!, product.views, tiles);
  if (tile?.rows !== 1) return undefined;
  const epilogue = [...product.epilogue, ...row.epilogue].sort((a, b) => a.id - b.id);
  const results = [...product.results, ...row.results.map((result) => ({ ...result, anchor: reductions[0] }))];
  return { ...product, pieces: { ...tile, reductions }, epilogue, results };
}

/** The product whose last value is all that a row kernel computes something of, besides what lies in memory from the start. */
function productOfRows(row: FusionGroup, groups: Groups, context: FusionContext): FusionGroup | undefined {
  const own = new Set(row.reductions);
  const isBetween = storedBetween(groups, context);
  const isSource = (node: Node) => own.has(node) || isBetween(node) || (node !== row.root && groups.has(node));
  const ends = row.results.map(({ node, views }) => views[0]?.inputs[0] ?? node);
  const sources = [...row.reductions.flatMap(({ inputs }) => inputs), ...ends].flatMap((node) =>
    own.has(node) ? [] : [...sourcesOf(node, isSource)],
  );
  const [computed, ...others] = new Set(sources.filter((node) => !own.has(node) && !isOfLeaves(node)));
  const product = computed && groups.get(computed);
  return others.length || product?.kind !== 'contraction' || product.pieces ? undefined : product;
}

/** Values that get kernels of their own: on the way to what is reduced, these come after the product and before the rows. */
function storedBetween(groups: Groups, { returned }: FusionContext): (node: Node) => boolean {
  const made = givenBy([...groups.values()]);
  return (node) => returned.has(node) && !made.has(node);
}

/** Moves a row group into a product, which computes it by square tiles; false where there are none, or they do not fit. */
function take(
  row: FusionGroup,
  product: FusionGroup,
  groups: Groups,
  context: FusionContext,
  need: Need,
  withRow: (tiles: Tiles) => FusionGroup | undefined,
): boolean {
  const tiles = tilesFor(product.anchor!, context, need);
  const more = isRejected(tiles) ? undefined : withRow(tiles);
  if (!more && !isRejected(tiles)) return false;
  const given = givenBy([...groups.values()].filter((group) => group !== row));
  const plan = product.plan && (tiles as unknown as Plan);
  const crowded = more && crowds(more, given, context);
  if (crowded) {
    context.remarks?.missed('partial-statistics', [row.root, product.root], crowded);
    return false;
  }
  const whole = more ? replanned({ ...more, plan }, given, context) : (tiles as Rejection);
  if (isRejected(whole)) {
    const why = `${labelOf(product.anchor!)} does not compute them: ${whole.rejected}`;
    context.remarks?.missed('partial-statistics', [row.root, product.root], why);
    return false;
  }
  groups.set(product.root, whole);
  groups.delete(row.root);
  return true;
}

/** Why a kernel would bind more than the device does; undefined where it does not. */
function crowds(group: FusionGroup, given: ReadonlySet<Node>, { users, returned, maxReads }: FusionContext) {
  const { reads, members } = partsOf(group, given);
  const isWanted = ({ node }: Result) => returned.has(node) || users.get(node)!.some((user) => !members.has(user));
  const bound = reads.size + group.results.filter(isWanted).length;
  return bound > maxReads + 1 ? tooManyBuffers(bound - 1, maxReads, `with ${labelOf(group.root)}`) : undefined;
}

const inOrder = (groups: Groups): FusionGroup[] => [...groups.values()].sort(byRoot);

/** The product whose last value a row kernel reduces, alone or with what was reduced of it before. */
function productOf(row: FusionGroup, groups: Groups, context: FusionContext): FusionGroup | undefined {
  const [reduction, ...others] = row.reductions;
  if (others.length || row.root !== reduction) return undefined;
  const isBetween = storedBetween(groups, context);
  const sources = [...sourcesOf(reduction.inputs[0], (node) => isBetween(node) || groups.has(node))];
  const products = sources.flatMap((node) => groups.get(node) ?? []).filter(({ kind }) => kind === 'contraction');
  return products.find((product) => {
    const known = new Set([product.root, ...(product.pieces?.reductions ?? [])]);
    return sources.every((node) => known.has(node));
  });
}

/** What pointwise ops and reshapes compute a value from, numbers aside, as it is found. Each value is visited once: chains meet again and again. */
function* sourcesOf(from: Node, isSource: (node: Node) => boolean): Generator<Node> {
  const seen = new Set([from]);
  for (const node of seen) {
    const { kind } = opDef(node.op);
    const isInside = kind === 'pointwise' || keepsOrder(node);
    if (isSource(node) || (kind === 'leaf' ? isStored(node) : !isInside)) yield node;
    else node.inputs.forEach((input) => seen.add(input));
  }
}

/** Whether a value is computed from such sources and from nothing else. The first other one ends the search. */
function isOnlyOf(from: Node, isSource: (node: Node) => boolean): boolean {
  let isAny = false;
  for (const source of sourcesOf(from, isSource)) {
    if (!isSource(source)) return false;
    isAny = true;
  }
  return isAny;
}

/** Moves totals of what products write into the one product that everything made of them is for. */
function fuseTotals(groups: Groups, context: FusionContext, partial: ReadonlySet<Node>): void {
  const totals = new Set<Node>();
  const isStatistic = (node: Node) => partial.has(node) || totals.has(node);
  const rows = inOrder(groups).filter((row) => {
    if (row.kind !== 'row' || !row.reductions.every(({ inputs }) => isOnlyOf(inputs[0], isStatistic))) return false;
    row.reductions.forEach((node) => totals.add(node));
    return true;
  });
  const products = new Map([...groups.values()].flatMap(({ anchor, root }) => (anchor ? [[anchor, root]] : [])));
  for (const row of rows) {
    const made = [...row.reductions, ...row.results.map(({ node }) => node)];
    const loaded = onlyReader(made, context, (node) => totals.has(node));
    const product = loaded && groups.get(products.get(loaded.reader)!);
    const [first] = row.reductions;
    if (!product?.totals.every((node) => sameRows(node, first))) continue;
    const combined = [...product.totals, ...row.reductions].sort((a, b) => a.id - b.id);
    const fromTotals = [...new Set([...product.fromTotals, ...loaded!.values])];
    const withTotals = { ...product, totals: combined, fromTotals };
    take(row, product, groups, context, 'totals', (tiles) => (sharesTotals(tiles, first) ? withTotals : undefined));
  }
}
