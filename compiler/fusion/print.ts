/** The text form of a fusion: the graph, then its groups. parse.ts reads it back. */
import { nodePrinter, printGraph, type Node } from '../ir/index.ts';
import type { Fusion, FusionGroup, Result } from './group.ts';

/** As `ditc opt` reads it: the graph comes first. */
export const printFused = (fusion: Fusion): string => `${printGraph(fusion.graph)}\n${printFusion(fusion)}`;

/** Fields of a group that are lists of values, as the text calls them. */
export const LISTS = {
  reduces: 'reductions',
  prologue: 'prologue',
  epilogue: 'epilogue',
  views: 'views',
  sums: 'sums',
  totals: 'totals',
  totalled: 'fromTotals',
} as const satisfies Record<string, keyof FusionGroup>;

export function printFusion({ graph, groups, stored, concats }: Fusion): string {
  const { ref } = nodePrinter(graph);
  const list = (nodes: Iterable<Node>) => [...nodes].map(ref).join(', ');
  const given = ({ node, anchor, views }: Result) =>
    [ref(node), anchor && `from ${ref(anchor)}`, views.length && `via [${list(views)}]`].filter(Boolean).join(' ');
  const lines = (group: FusionGroup): string[] => {
    const { kind, root, anchor, pieces, plan, results } = group;
    const lists = Object.entries(LISTS).map(([name, key]) => [name, list(group[key])]);
    const fields = [
      ['anchor', anchor ? ref(anchor) : ''],
      ...lists,
      ['pieces', pieces ? `${list(pieces.reductions)} of ${pieces.rows} by ${pieces.columns}` : ''],
      ['plan', plan ? JSON.stringify(plan) : ''],
      ['gives', isPlain(group) ? '' : results.map(given).join(', ') || 'nothing'],
    ];
    return [
      `  ${kind} ${ref(root)}`,
      ...fields.flatMap(([name, text]) => (text ? [`    ${name.padEnd(8)} ${text}`] : [])),
    ];
  };
  return [
    `fusion @${graph.name} {`,
    ...groups.flatMap(lines),
    ...[...concats].map(([concat, parts]) => `  concat ${ref(concat)} of ${list(parts)}`),
    ...(stored.size ? [`  stored ${list(stored)}`] : []),
    '}',
    '',
  ].join('\n');
}

/** Whether a group gives its root, and nothing else. */
export const isPlain = ({ root, views, results }: FusionGroup): boolean =>
  results.length === 1 &&
  results[0].node === root &&
  !results[0].anchor &&
  String(ids(results[0].views)) === String(ids(views));

const ids = (nodes: readonly Node[]): number[] => nodes.map(({ id }) => id);
