/**
 * What two kernels would be as one (join.ts): they walk over the same domain and meet only element by element or row by row, or
 * share the scores of an attention, or the rows of a product's left operand.
 */
import { sameShape, sizeOf, type Node, type Shape } from '../ir/index.ts';
import { attrList, opDef, shareScores } from '../ops/index.ts';
import { isSumOfRows } from './row-sums.ts';
import { domainOf, resultsOf, samePlaces, type Draft, type Result } from './regions.ts';
import { isStored } from './storage.ts';

/** A row this long is work for a workgroup that has few neighbours: what runs once an element keeps a kernel of its own. */
const LONG_ROW = 2 ** 14;
const FEW_ROWS = 16;

/** Shape of the kernel's domain: of a row kernel, of what it reduces. */
export const fullShape = (draft: Draft): Shape =>
  draft.kind === 'row' ? draft.reductions[0].inputs[0].type.shape : domainOf(resultsOf(draft)[0]);

/** The draft that computes what two do, if they walk over the same domain and meet only element by element or row by row. */
export function union(first: Draft, second: Draft, buffers: ReadonlySet<Node>): Draft | undefined {
  if (second.kind === 'matmul') return scoreUnion(first, second);
  const summed = sumUnion(first, second);
  if (summed) return summed;
  if (first.kind === 'row' || second.kind === 'row') return rowUnion(first, second, buffers);
  return mapUnion(first, second, buffers);
}

/** Two contractions over the same scores; the attention itself is what the kernel is for. */
function scoreUnion(first: Draft, second: Draft): Draft | undefined {
  if (first.kind !== 'matmul' || !shareScores(first.anchor!, second.anchor!)) return undefined;
  const [main, added] = second.anchor!.op === 'attention' ? [second, first] : [first, second];
  const more = resultsOf(added).map((result) => ({ ...result, anchor: result.anchor ?? added.anchor }));
  return { ...main, more: [...main.more, ...more] };
}

/** A product and a row kernel that only sums rows of the product's left operand, without the views that its sums lie behind. */
export function sumUnion(product: Draft, row: Draft): Draft | undefined {
  const { anchor, sums = [] } = product;
  if (anchor?.op !== 'matmul' || row.kind !== 'row') return undefined;
  const [sum, ...others] = row.reductions;
  if (others.length || sums.length || !isSumOfRows(sum, anchor)) return undefined;
  const isOfRow = ({ node, views }: Result) => sameShape(domainOf({ node, views }), sum.type.shape);
  if (!resultsOf(row).every(isOfRow)) return undefined;
  const more = resultsOf(row).map((result) => ({ ...result, anchor: sum }));
  return { ...product, sums: [...sums, sum], more: [...product.more, ...more] };
}

/** Anything and a map on the domain of one of its results. */
function mapUnion(first: Draft, second: Draft, buffers: ReadonlySet<Node>): Draft | undefined {
  if (second.kind !== 'map') return undefined;
  const place = placeShared(first, second, buffers);
  const more = place && resultsOf(second).map(({ node }) => ({ ...place, node }));
  return more && { ...first, more: [...first.more, ...more] };
}

/** Where `second` reads results of `first`, if it reads all of them at the element that it computes. */
function placeShared(first: Draft, second: Draft, buffers: ReadonlySet<Node>): Omit<Result, 'node'> | undefined {
  const results = new Map(resultsOf(first).map((result) => [result.node, result]));
  const own = { stored: (node: Node) => isStored(node) || (buffers.has(node) && !isResultOf(second, node)) };
  const read = new Set<Result>();
  for (const { node } of resultsOf(second)) {
    if (first.kind !== 'matmul' && !sameShape(node.type.shape, first.root.type.shape)) return undefined;
    const reached = readTogether(node, { ...own, results, follows: samePlace });
    if (!reached) return undefined;
    reached.forEach((result) => read.add(result));
  }
  const [one, ...others] = read;
  if (!one) return first.kind === 'map' ? { views: [] } : undefined;
  if (others.some((other) => !samePlaces(one, other))) return undefined;
  const { shape } = one.node.type;
  return resultsOf(second).every(({ node }) => sameShape(node.type.shape, shape))
    ? { views: one.views, anchor: one.anchor }
    : undefined;
}

const isResultOf = (draft: Draft, node: Node): boolean => resultsOf(draft).some((result) => result.node === node);

/** Reductions of the same rows, and maps over them. */
function rowUnion(first: Draft, second: Draft, buffers: ReadonlySet<Node>): Draft | undefined {
  const [row, other] = first.kind === 'row' ? [first, second] : [second, first];
  if (other.kind === 'matmul') return undefined;
  const [reduction] = row.reductions;
  const [full, reduced] = [reduction.inputs[0].type.shape, reduction.type.shape];
  if (sameShape(full, reduced)) return undefined;
  if (other.kind === 'row' && !sameRows(other.reductions[0], reduction)) return undefined;
  // What follows a row's views is no longer the row, but may be computed where its element is.
  if (other.kind === 'map' && first === row && row.views.length) return mapUnion(row, other, buffers);
  const reductions = [...new Set([...row.reductions, ...other.reductions])].sort((a, b) => a.id - b.id);
  const onRow = ({ type: { shape } }: Node) => sameShape(shape, full) || sameShape(shape, reduced);
  const starts = resultsOf(second).map(({ node, views }) => views[0]?.inputs[0] ?? node);
  if (!starts.every(onRow)) return undefined;
  if (other.kind === 'map') {
    const shapes = resultsOf(other).map(({ node }) => node.type.shape);
    if (!shapes.every((shape) => sameShape(shape, full) || sameShape(shape, reduced))) return undefined;
    const rows = sizeOf(reduced);
    if (rows < FEW_ROWS && sizeOf(full) / rows >= LONG_ROW) return undefined;
  }
  const results = new Map(resultsOf(first).map((result) => [result.node, result]));
  const own = new Set(reductions);
  const follows = (user: Node, input: Node): boolean => {
    if (own.has(user)) return true;
    if (opDef(user.op).kind !== 'pointwise') return false;
    return samePlace(user, input) || (sameShape(user.type.shape, full) && sameShape(input.type.shape, reduced));
  };
  const stored = (node: Node) => isStored(node) || (buffers.has(node) && !isResultOf(second, node));
  for (const [i, { node }] of resultsOf(second).entries()) {
    const start = starts[i];
    const reached = readTogether(start, { results, stored, follows });
    if (!reached || [...reached].some(({ views }) => views.length)) return undefined;
    // What follows its views is computed at another place of the row.
    const beyond = { results, stored: (n: Node) => n === start || stored(n), follows: () => false };
    if (node !== start && !readTogether(node, beyond)) return undefined;
  }
  const [main, added] = row === first ? [first, second] : [second, first];
  return { ...main, reductions, more: [...main.more, ...resultsOf(added)] };
}

const isReduction = (node: Node) => opDef(node.op).kind === 'reduce';

/** Whether two nodes reduce the same axes of the same shape. */
export const sameRows = (a: Node, b: Node): boolean =>
  isReduction(a) &&
  isReduction(b) &&
  String(attrList(a.attrs, 'axes')) === String(attrList(b.attrs, 'axes')) &&
  sameShape(a.inputs[0].type.shape, b.inputs[0].type.shape);

const samePlace = (user: Node, input: Node): boolean =>
  opDef(user.op).kind === 'pointwise' && sameShape(user.type.shape, input.type.shape);

interface Reading {
  readonly results: ReadonlyMap<Node, Result>;
  /** Where the kernel reads from memory. */
  readonly stored: (node: Node) => boolean;
  /** Whether a value reads an operand at its own place. */
  readonly follows: (user: Node, input: Node) => boolean;
}

/** The results that a value is computed from; undefined if it reads one at another place than its own. */
function readTogether(start: Node, { results, stored, follows }: Reading): Set<Result> | undefined {
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
      return stored(input) || visit(input, at);
    });
  };
  const itself = results.get(start);
  if (itself) return new Set([itself]);
  return visit(start, true) ? reached : undefined;
}
