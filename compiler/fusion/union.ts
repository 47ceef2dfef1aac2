/**
 * What two groups would be as one (merging.ts): they walk over the same domain and meet only element by element or row by row, or
 * share the scores of an attention, or the rows of a product's left operand.
 */
import { sameShape, sizeOf, type Node } from '../ir/index.ts';
import { isAttention, isBijection, isProduct, opDef, shareScores } from '../ops/index.ts';
import { domainOf, fullShape, samePlaces, type FusionGroup, type Result } from './group.ts';
import { viewsOnRows } from './moved-rows.ts';
import { isSumOfRows } from './row-sums.ts';
import { sameRows } from './rows.ts';
import { readsOf } from './slice.ts';
import { isStored } from './storage.ts';

/** A row this long is work for a workgroup that has few neighbours: what runs once an element keeps a kernel of its own. */
const LONG_ROW = 2 ** 14;
const FEW_ROWS = 16;

/** The group that computes what two do, if they walk over the same domain and meet only element by element or row by row. */
export function union(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  if (second.kind === 'contraction') return scoreUnion(first, second);
  const summed = sumUnion(first, second);
  if (summed) return summed;
  return unionOfDomains(first, second, stored) ?? viewUnion(first, second, stored) ?? movedUnion(first, second, stored);
}

/** Rows, and a map that reads their elements at other places of the same row. */
function movedUnion(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  if (first.kind !== 'row' || second.kind !== 'map' || areFewAndLong(first)) return undefined;
  const views = viewsOnRows(first, second, stored);
  return (
    views &&
    withMore(
      first,
      second,
      second.results.map(({ node }, i) => ({ node, views: views[i] })),
    )
  );
}

/** Whether a workgroup has much to do for a row, and few neighbours. */
function areFewAndLong({ reductions: [reduction] }: FusionGroup): boolean {
  const rows = sizeOf(reduction.type.shape);
  return rows < FEW_ROWS && sizeOf(reduction.inputs[0].type.shape) / rows >= LONG_ROW;
}

function unionOfDomains(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  if (first.kind === 'row' || second.kind === 'row') return rowUnion(first, second, stored);
  return mapUnion(first, second, stored) ?? numberUnion(first, second, stored);
}

/** A kernel, and one-to-one views of what it gives or of what is computed there: written at their places beside it. */
function viewUnion(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  if (second.kind !== 'map') return undefined;
  const results = second.results.map(({ node, views }) => ({ node, views: views.length ? views : viewsOn(node) }));
  const isSeen = results.some(({ views }, i) => views.length !== second.results[i].views.length);
  return isSeen ? unionOfDomains(first, { ...second, results }, stored) : undefined;
}

/** The one-to-one views that a value is of another one, the first one first. */
function viewsOn(node: Node): Node[] {
  const views: Node[] = [];
  for (let view = node; isBijection(view); [view] = view.inputs) views.unshift(view);
  return views;
}

/** What a result is, or what it is views of. */
const startOf = ({ node, views }: Pick<Result, 'node' | 'views'>): Node => views[0]?.inputs[0] ?? node;

/** Two contractions over the same scores; the attention itself is what the kernel is for. */
function scoreUnion(first: FusionGroup, second: FusionGroup): FusionGroup | undefined {
  if (first.kind !== 'contraction' || !shareScores(first.anchor!, second.anchor!)) return undefined;
  const [main, added] = isAttention(second.anchor!) ? [second, first] : [first, second];
  const more = added.results.map((result) => ({ ...result, anchor: result.anchor ?? added.anchor }));
  return withMore(main, { ...added, epilogue: [added.anchor!, ...added.epilogue] }, more);
}

/** A group that takes in what another computes. */
export function withMore(main: FusionGroup, { epilogue }: FusionGroup, more: readonly Result[]): FusionGroup {
  const together = [...new Set([...main.epilogue, ...epilogue])].sort((a, b) => a.id - b.id);
  return { ...main, epilogue: together, results: [...main.results, ...more] };
}

/** A product and a row kernel that only sums rows of the product's left operand, without the views that its sums lie behind. */
export function sumUnion(product: FusionGroup, row: FusionGroup): FusionGroup | undefined {
  const { anchor, sums } = product;
  if (!anchor || !isProduct(anchor) || row.kind !== 'row') return undefined;
  const [sum, ...others] = row.reductions;
  if (others.length || sums.length || !isSumOfRows(sum, anchor)) return undefined;
  const isOfRow = ({ node, views }: Result) => sameShape(domainOf({ node, views }), sum.type.shape);
  if (!row.results.every(isOfRow)) return undefined;
  const more = row.results.map((result) => ({ ...result, anchor: sum }));
  return { ...withMore(product, row, more), sums: [...sums, sum] };
}

/** A group of any kind, and a map that reads one of its results at the same element. */
function mapUnion(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  if (second.kind !== 'map') return undefined;
  const place = placeShared(first, second, stored);
  const more =
    place && second.results.map(({ node, views }) => ({ ...place, node, views: [...place.views, ...views] }));
  return more && withMore(first, second, more);
}

/** A map of a few elements and one of numbers that do not depend on it: one invocation computes these besides. */
function numberUnion(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  const [few, numbers] = givesNumbers(second) ? [first, second] : [second, first];
  if (!isFew(few) || !givesNumbers(numbers) || givesNumbers(few)) return undefined;
  const isApart = (a: FusionGroup, b: FusionGroup) => b.results.every(({ node }) => !readsOf(a, stored).has(node));
  return isApart(few, numbers) && isApart(numbers, few) ? withMore(few, numbers, numbers.results) : undefined;
}

const givesNumbers = ({ kind, results }: FusionGroup): boolean =>
  kind === 'map' && results.every(({ node }) => sizeOf(node.type.shape) === 1);

/** Elements that any device computes at once. */
const FEW_ELEMENTS = 256;

/** Whether a group is a map that takes no time but that of its dispatch. */
export const isFew = (group: FusionGroup): boolean => group.kind === 'map' && sizeOf(fullShape(group)) <= FEW_ELEMENTS;

/** Where `second` reads results of `first`, if it reads all of them at the element that it computes. */
function placeShared(
  first: FusionGroup,
  second: FusionGroup,
  stored: ReadonlySet<Node>,
): Omit<Result, 'node'> | undefined {
  const results = new Map(first.results.map((result) => [result.node, result]));
  const own = { inMemory: (node: Node) => isStored(node) || (stored.has(node) && !isResultOf(second, node)) };
  const read = new Set<Result>();
  const starts = second.results.map(startOf);
  for (const node of starts) {
    if (first.kind !== 'contraction' && !sameShape(node.type.shape, first.root.type.shape)) return undefined;
    const reached = readTogether(node, { ...own, results, follows: samePlace });
    if (!reached) return undefined;
    reached.forEach((result) => read.add(result));
  }
  const [one, ...others] = read;
  if (!one) return first.kind === 'map' ? { views: [] } : undefined;
  if (others.some((other) => !samePlaces(one, other))) return undefined;
  const { shape } = one.node.type;
  return starts.every((node) => sameShape(node.type.shape, shape))
    ? { views: one.views, anchor: one.anchor }
    : undefined;
}

const isResultOf = (draft: FusionGroup, node: Node): boolean => draft.results.some((result) => result.node === node);

/** Reductions of the same rows, and maps over them. */
function rowUnion(first: FusionGroup, second: FusionGroup, stored: ReadonlySet<Node>): FusionGroup | undefined {
  const [row, other] = first.kind === 'row' ? [first, second] : [second, first];
  if (other.kind === 'contraction') return undefined;
  const [reduction] = row.reductions;
  const [full, reduced] = [reduction.inputs[0].type.shape, reduction.type.shape];
  if (sameShape(full, reduced)) return undefined;
  if (other.kind === 'row' && !sameRows(other.reductions[0], reduction)) return undefined;
  // What follows a row's views is no longer the row, but may be computed where its element is.
  if (other.kind === 'map' && first === row && row.views.length) return mapUnion(row, other, stored);
  const reductions = [...new Set([...row.reductions, ...other.reductions])].sort((a, b) => a.id - b.id);
  const onRow = ({ type: { shape } }: Node) => sameShape(shape, full) || sameShape(shape, reduced);
  const starts = second.results.map(startOf);
  if (!starts.every(onRow)) return undefined;
  if (other.kind === 'map') {
    const shapes = other.results.map((result) => startOf(result).type.shape);
    if (!shapes.every((shape) => sameShape(shape, full) || sameShape(shape, reduced))) return undefined;
    if (areFewAndLong(row)) return undefined;
  }
  const results = new Map(first.results.map((result) => [result.node, result]));
  const own = new Set(reductions);
  const follows = (user: Node, input: Node): boolean => {
    if (own.has(user)) return true;
    if (opDef(user.op).kind !== 'pointwise') return false;
    return samePlace(user, input) || (sameShape(user.type.shape, full) && sameShape(input.type.shape, reduced));
  };
  const inMemory = (node: Node) => isStored(node) || (stored.has(node) && !isResultOf(second, node));
  for (const [i, { node }] of second.results.entries()) {
    const start = starts[i];
    const reached = readTogether(start, { results, inMemory, follows });
    if (!reached || [...reached].some(({ views }) => views.length)) return undefined;
    // Whatever reads the result behind its views is at another element of the row, and finds it in memory.
    const others = new Map([...results].filter(([result]) => result !== start));
    const beyond = { results: others, inMemory: (n: Node) => n === start || inMemory(n), follows: () => false };
    if (node !== start && !readTogether(node, beyond)) return undefined;
  }
  const [main, added] = row === first ? [first, second] : [second, first];
  return { ...withMore(main, added, added.results), reductions };
}

const samePlace = (user: Node, input: Node): boolean =>
  opDef(user.op).kind === 'pointwise' && sameShape(user.type.shape, input.type.shape);

interface Reading {
  readonly results: ReadonlyMap<Node, Result>;
  /** Where the kernel reads from memory. */
  readonly inMemory: (node: Node) => boolean;
  /** Whether a value reads an operand at its own place. */
  readonly follows: (user: Node, input: Node) => boolean;
}

/** The results that a value is computed from; undefined if it reads one at another place than its own. */
function readTogether(start: Node, { results, inMemory, follows }: Reading): Set<Result> | undefined {
  const reached = new Set<Result>();
  const seen = new Set<string>();
  const visit = (node: Node, own: boolean): boolean => {
    const key = `${node.id} ${own}`;
    if (seen.has(key)) return true;
    seen.add(key);
    return node.inputs.every((input) => {
      const at = own && follows(node, input);
      const result = results.get(input);
      if (result) {
        reached.add(result);
        return at;
      }
      return inMemory(input) || visit(input, at);
    });
  };
  const itself = results.get(start);
  if (itself) return new Set([itself]);
  return visit(start, true) ? reached : undefined;
}
