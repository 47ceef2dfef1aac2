/** Pictures: boxes apart, arrows down from box to box, groups around what is in them. */
import { describe, expect, it } from 'vitest';
import { layOut, type Box, type Group, type Layout } from '../../../compiler/report/layout.ts';
import { layRows } from '../../../compiler/report/rows.ts';

type Edge = readonly [string, string];

const box = (id: string, parent?: string, width = 60, height = 30): Box => ({ id, parent, width, height });

/** Whole numbers from a seed, below `below`. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => (state = (state * 48271) % 2147483647) % below;
}

/** A random graph in nested groups; as in a model, each group is a stretch of the order. */
function sample(seed: number, count: number): { boxes: Box[]; groups: Group[]; edges: Edge[] } {
  const roll = dice(seed);
  const groups: Group[] = [];
  const boxes: Box[] = [];
  const open: string[] = [];
  for (let i = 0; i < count; i++) {
    if (roll(5) === 0 && open.length < 3) {
      groups.push({ id: `g${groups.length}`, parent: open.at(-1) });
      open.push(groups.at(-1)!.id);
    }
    boxes.push(box(`b${i}`, open.at(-1), 40 + roll(200), 20 + roll(300)));
    if (open.length && roll(4) === 0) open.pop();
  }
  const edges: Edge[] = [];
  for (let to = 1; to < count; to++) for (let n = roll(4); n > 0; n--) edges.push([`b${roll(to)}`, `b${to}`]);
  return { boxes, groups, edges };
}

function check({ boxes: placed, edges: lines, width, height }: Layout, graph: ReturnType<typeof sample>): void {
  const { boxes, groups, edges } = graph;
  const parent = new Map([...groups, ...boxes].map((item) => [item.id, item.parent]));
  const isInside = (id: string, group: string): boolean =>
    id === group || (parent.get(id) !== undefined && isInside(parent.get(id)!, group));
  for (const { x, y, ...size } of placed.values()) {
    expect(x >= 0 && y >= 0 && x + size.width <= width && y + size.height <= height).toBe(true);
  }
  const all = [...placed];
  all.forEach(([a, p], i) => {
    for (const [b, q] of all.slice(i + 1)) {
      const apart = p.x + p.width <= q.x || q.x + q.width <= p.x || p.y + p.height <= q.y || q.y + q.height <= p.y;
      expect(apart, `${a} and ${b}`).toBe(!isInside(a, b) && !isInside(b, a));
    }
  });
  lines.forEach((points, i) => {
    const [from, to] = edges[i].map((id) => placed.get(id)!);
    const [first, last] = [points[0], points.at(-1)!];
    expect(first[1]).toBe(from.y + from.height);
    expect(last[1]).toBe(to.y);
    expect(first[0] >= from.x && first[0] <= from.x + from.width, `${edges[i]} starts on its box`).toBe(true);
    expect(last[0] >= to.x && last[0] <= to.x + to.width, `${edges[i]} ends on its box`).toBe(true);
    points.slice(1).forEach(([, y], k) => expect(y).toBeGreaterThanOrEqual(points[k][1]));
    // Straight down beside boxes, never through one: only between rows do lines go sideways.
    points.slice(1).forEach(([x, y], k) => {
      if (points[k][0] !== x) return;
      for (const { id } of boxes) {
        const b = placed.get(id)!;
        const crosses = x > b.x && x < b.x + b.width && points[k][1] < b.y + b.height && y > b.y;
        expect(crosses, `${edges[i]} through ${id}`).toBe(false);
      }
    });
  });
}

describe('layOut', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'keeps boxes apart and leads every arrow down from box to box (seed %i)',
    (seed) => {
      const graph = sample(seed * 7919, 40);
      const layout = layOut(graph.boxes, graph.groups, graph.edges);
      check(layout, graph);
      expect(layOut(graph.boxes, graph.groups, graph.edges)).toEqual(layout);
    },
  );

  it('draws a chain as a straight line, and nothing as an empty picture', () => {
    const edges: Edge[] = [
      ['a', 'b'],
      ['b', 'c'],
    ];
    const { edges: lines } = layOut([box('a'), box('b', undefined, 100), box('c')], [], edges);
    expect(new Set(lines.flat().map(([x]) => x)).size).toBe(1);
    expect(layOut([], [], [])).toMatchObject({ width: 32, edges: [] });
  });

  it('leads a value that is read far below down one trunk', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const edges: Edge[] = [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'd'],
      ['d', 'e'],
      ['a', 'd'],
      ['a', 'e'],
    ];
    const { edges: lines } = layOut(
      ids.map((id) => box(id)),
      [],
      edges,
    );
    const [short, long] = lines.slice(4);
    expect(long.slice(0, 2)).toEqual(short.slice(0, 2));
  });

  it('takes the order with no crossing where there is one', () => {
    const pairs = [3, 1, 2, 0].map((to, from) => ({ from: `a${from}`, to: `b${to}`, trunk: '' }));
    const boxes = ['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'b2', 'b3'].map((id) => box(id));
    const { lines } = layRows(boxes, pairs, 0);
    const ends = lines.map((points) => points.at(-1)![0]);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    expect(lines.every(([[start], [end]]) => start === end)).toBe(true);
  });
});
