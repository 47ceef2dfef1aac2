/** Places of boxes and arrows, by dagre: layers from top to bottom, groups inside groups. Whole numbers: the same everywhere. */
import dagre from '@dagrejs/dagre';

export interface Box {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** The group it lies in. */
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
  readonly edges: readonly (readonly (readonly [number, number])[])[];
}

export function layOut(
  boxes: readonly Box[],
  groups: readonly { readonly id: string; readonly parent?: string }[],
  edges: readonly (readonly [from: string, to: string])[],
): Layout {
  const graph = new dagre.graphlib.Graph({ compound: groups.length > 0, multigraph: true });
  graph.setGraph({ rankdir: 'TB', nodesep: 18, ranksep: 26, edgesep: 10, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of groups) graph.setNode(id, {});
  for (const { id, width, height } of boxes) graph.setNode(id, { width, height });
  for (const { id, parent } of [...groups, ...boxes]) if (parent) graph.setParent(id, parent);
  edges.forEach(([from, to], i) => graph.setEdge(from, to, {}, String(i)));
  dagre.layout(graph);
  const place = (id: string): [string, Placed] => {
    const { x, y, width, height } = graph.node(id) as Placed;
    const rounded = [x - width / 2, y - height / 2, width, height].map(Math.round);
    return [id, { x: rounded[0], y: rounded[1], width: rounded[2], height: rounded[3] }];
  };
  const points = edges.map(([from, to], i) =>
    (graph.edge({ v: from, w: to, name: String(i) }) as { points: { x: number; y: number }[] }).points.map(
      ({ x, y }) => [Math.round(x), Math.round(y)] as const,
    ),
  );
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const placed = new Map([...groups, ...boxes].map(({ id }) => place(id)));
  return { width: Math.round(width), height: Math.round(height), boxes: placed, edges: points };
}
