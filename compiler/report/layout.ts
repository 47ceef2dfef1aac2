/**
 * Places of boxes and arrows, groups inside groups. Each group is laid out by itself and is then one box of what surrounds it:
 * an arrow into it comes through a port on its border. Whole numbers: the same everywhere.
 */
import { layRows, straightened, type Arrow, type Point, type RowBox, type Rows } from './rows.ts';

export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** The group it lies in. */
  readonly parent?: string;
}

export interface Group {
  readonly id: string;
  readonly parent?: string;
}

export interface Placed {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly boxes: ReadonlyMap<string, Placed>;
  /** Points of each edge, in the order given. */
  readonly edges: readonly (readonly Point[])[];
}

const MARGIN = 16;
/** The picture as a whole, as a group. */
const WHOLE = '';

/** A part of an edge, within one group. */
interface Part {
  readonly group: string;
  readonly from: string;
  readonly to: string;
}

const entrance = (source: string): string => `in ${source}`;
const exit = (source: string): string => `out ${source}`;

export function layOut(
  boxes: readonly Box[],
  groups: readonly Group[],
  edges: readonly (readonly [from: string, to: string])[],
): Layout {
  const parents = new Map([...groups, ...boxes].map(({ id, parent = WHOLE }) => [id, parent]));
  const parts = edges.map(([from, to]) => partsOf(from, to, parents));
  const levels = new Map<string, Level>();
  const inner = (group: string): Level => {
    const known = levels.get(group);
    if (known) return known;
    const children = [...groups, ...boxes].filter(({ parent = WHOLE }) => parent === group);
    const level = layLevel(group, children, parts, edges, inner);
    levels.set(group, level);
    return level;
  };
  const whole = inner(WHOLE).rows;
  const placed = new Map<string, Placed>([[WHOLE, { x: 0, y: 0, width: whole.width, height: whole.height }]]);
  for (const { id, width, height } of ordered(groups, boxes, levels)) {
    const group = placed.get(parents.get(id)!)!;
    const [x, y] = levels.get(parents.get(id)!)!.rows.corners.get(id)!;
    placed.set(id, { x: group.x + x, y: group.y + y, width, height });
  }
  const lines = parts.map((list, i) =>
    straightened(
      list.flatMap(({ group, from, to }) => {
        const { x, y } = placed.get(group)!;
        return levels
          .get(group)!
          .lines.get(keyOf(edges[i][0], from, to))!
          .map(([px, py]): Point => [x + px, y + py]);
      }),
    ),
  );
  placed.delete(WHOLE);
  return { width: whole.width, height: whole.height, boxes: placed, edges: lines };
}

interface Level {
  readonly rows: Rows;
  /** Points of each arrow, by its key. */
  readonly lines: ReadonlyMap<string, readonly Point[]>;
}

const keyOf = (source: string, from: string, to: string): string => `${source}\n${from}\n${to}`;

function layLevel(
  group: string,
  children: readonly (Box | Group)[],
  parts: readonly (readonly Part[])[],
  edges: readonly (readonly [string, string])[],
  inner: (group: string) => Level,
): Level {
  const boxes: RowBox[] = children.map((child) =>
    'width' in child ? child : { id: child.id, width: inner(child.id).rows.width, height: inner(child.id).rows.height },
  );
  const isGroup = new Set(children.flatMap((child) => ('width' in child ? [] : [child.id])));
  const arrows = new Map<string, Arrow>();
  const ports = new Set<string>();
  parts.forEach((list, i) => {
    const [source] = edges[i];
    for (const { from, to } of list.filter((part) => part.group === group)) {
      if (from === entrance(source)) ports.add(from);
      if (to === exit(source)) ports.add(to);
      const portOf = (child: string, port: string) =>
        isGroup.has(child) ? inner(child).rows.corners.get(port)![0] : undefined;
      const [fromX, toX] = [portOf(from, exit(source)), portOf(to, entrance(source))];
      arrows.set(keyOf(source, from, to), { from, to, trunk: source, fromX, toX });
    }
  });
  for (const id of ports) boxes.push({ id, width: 0, height: 0, border: id.startsWith('in ') ? 'top' : 'bottom' });
  const rows = layRows(boxes, [...arrows.values()], MARGIN);
  return { rows, lines: new Map([...arrows.keys()].map((key, i) => [key, rows.lines[i]])) };
}

/** The ways of an edge: out of the groups that only its source lies in, across, and into those of its target. */
function partsOf(from: string, to: string, parents: ReadonlyMap<string, string>): Part[] {
  const path = (id: string): string[] => (id === WHOLE ? [id] : [...path(parents.get(id)!), id]);
  const [out, into] = [path(from), path(to)];
  let common = 0;
  while (out[common + 1] === into[common + 1]) common++;
  const parts: Part[] = [];
  for (let i = out.length - 2; i > common; i--) parts.push({ group: out[i], from: out[i + 1], to: exit(from) });
  parts.push({ group: out[common], from: out[common + 1], to: into[common + 1] });
  for (let i = common + 1; i < into.length - 1; i++)
    parts.push({ group: into[i], from: entrance(from), to: into[i + 1] });
  return parts;
}

/** Groups from the outside in, then the boxes; each with its size. */
function ordered(groups: readonly Group[], boxes: readonly Box[], levels: ReadonlyMap<string, Level>): Box[] {
  const within = (parent: string): Group[] =>
    groups.filter((group) => (group.parent ?? WHOLE) === parent).flatMap((group) => [group, ...within(group.id)]);
  const sized = within(WHOLE).map((group) => {
    const { width, height } = levels.get(group.id)!.rows;
    return { ...group, width, height };
  });
  return [...sized, ...boxes];
}
