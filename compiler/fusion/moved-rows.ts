/**
 * Maps that read a row kernel's elements at other places of the same row, as positions turn the pairs of a normalised query: the kernel
 * has what it needs of the row by then, and computes each of these elements where it is read.
 */
import { sameShape, type Node } from '../ir/index.ts';
import { isBijection, opDef } from '../ops/index.ts';
import { fullShape, type FusionGroup } from './group.ts';
import { membersOf } from './slice.ts';
import { rowDepth, withinRows } from './rows.ts';
import { isStored } from './storage.ts';

/** Elements of a row that one of the map's may be made of: each is computed anew. */
const MOST_ELEMENTS = 4;

/** The views by which each result of the map lies on the rows; undefined where it is not made of these alone. */
export function viewsOnRows(row: FusionGroup, map: FusionGroup, stored: ReadonlySet<Node>): Node[][] | undefined {
  const depth = rowDepth(row.reductions);
  const isWithin = withinRows(row.reductions);
  if (depth === undefined || !isWithin || map.results.some(({ views }) => views.length)) return undefined;
  const full = fullShape(row);
  const given = new Set(row.results.flatMap(({ node, views }) => (views.every(isWithin) ? [node] : [])));
  const isOnRows = ({ type: { shape } }: Node) => sameShape(shape.slice(0, depth), full.slice(0, depth));
  const bridges = [...membersOf(map, stored), ...row.views].filter(
    (node) => isBijection(node) && isWithin(node) && sameShape(node.inputs[0].type.shape, full),
  );
  const found = map.results.map(({ node }): Node[] | undefined => {
    const elements = elementsOf(node, {
      given,
      isWithin,
      isOnRows,
      isRead: (n) => n !== node && (isStored(n) || stored.has(n)),
    });
    if (!elements || elements > MOST_ELEMENTS) return undefined;
    if (sameShape(node.type.shape, full)) return [];
    const bridge = bridges.find(({ type }) => sameShape(type.shape, node.type.shape));
    return bridge && [bridge];
  });
  return found.every((views) => views !== undefined) ? found : undefined;
}

interface Walk {
  readonly given: ReadonlySet<Node>;
  readonly isWithin: (view: Node) => boolean;
  readonly isOnRows: (node: Node) => boolean;
  readonly isRead: (node: Node) => boolean;
}

/** How many elements of what the rows give a value takes; undefined if some may be of another row. */
function elementsOf(start: Node, { given, isWithin, isOnRows, isRead }: Walk): number | undefined {
  const counted = new Map<string, number | undefined>();
  const count = (node: Node, within: boolean): number | undefined => {
    if (given.has(node)) return within ? 1 : undefined;
    if (isRead(node)) return 0;
    const key = `${node.id} ${within}`;
    if (!counted.has(key))
      counted.set(key, sum(node.inputs.map((input) => count(input, within && stays(node, input)))));
    return counted.get(key);
  };
  const stays = (node: Node, input: Node): boolean => {
    if (!isOnRows(input)) return false;
    const isPointwise = opDef(node.op).kind === 'pointwise';
    return isPointwise
      ? node.type.shape.length === input.type.shape.length
      : opDef(node.op).kind === 'view' && isWithin(node);
  };
  return isOnRows(start) ? count(start, true) : undefined;
}

const sum = (counts: readonly (number | undefined)[]): number | undefined =>
  counts.reduce((total, n) => (total === undefined || n === undefined ? undefined : total + n), 0);
