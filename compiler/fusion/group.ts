/**
 * The fusion IR: which values share a kernel. A group has an anchor (a contraction, reductions of rows, or neither), what precedes
 * it as the way it loads and what follows it as the way it stores; a fusion is all groups of a graph, and what lies in memory
 * between them. Both are values: a pass (passes.ts) takes a fusion and gives another. print.ts and parse.ts are its text form,
 * verify.ts says what holds of it.
 */
import type { Graph, Node, Shape } from '../ir/index.ts';
import { writesSlice } from '../ops/index.ts';
import type { Plan } from '../plans/plan.ts';

/** A value that a kernel gives to others. */
export interface Result {
  readonly node: Node;
  /** One-to-one views between the kernel's domain and the value, in order. */
  readonly views: readonly Node[];
  /**
   * What it is computed from, where that is not the main anchor: another contraction on whose domain it is, one of the group's
   * `sums` or `pieces`, or the first of its `reductions`, for rows of the left operand and what there is one of in each.
   */
  readonly anchor?: Node;
}

/** How much of a contraction's result a workgroup computes, or of that a piece takes. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** Reductions of equal pieces of a product's result, and what part of a tile a piece takes. */
export interface Pieces extends Tile {
  readonly reductions: readonly Node[];
}

export interface FusionGroup {
  readonly kind: 'map' | 'row' | 'contraction';
  /** What the kernel is for: it gives the domain and the name. Written to memory where somebody reads it. */
  readonly root: Node;
  /** `contraction`: the contraction. */
  readonly anchor?: Node;
  /**
   * In topological order, all reducing the same axes of the same shape. `row`: what the kernel is for. `contraction`: statistics
   * of the left operand's rows (a layer norm before a linear), computed in the kernel before the product.
   */
  readonly reductions: readonly Node[];
  /** `contraction`: what is made of `reductions`, on the way to the left operand. Like the epilogue it is computed here alone. */
  readonly prologue: readonly Node[];
  /** What is computed between the anchor, or the reductions, and the root: `gate · x + residual`, say. */
  readonly epilogue: readonly Node[];
  /** `contraction`: sums of the left operand's rows that results are computed from (row-sums.ts). */
  readonly sums: readonly Node[];
  /** `contraction`: reductions of pieces of the root that lie in a tile, and totals of others' pieces (pieces.ts). */
  readonly pieces?: Pieces;
  readonly totals: readonly Node[];
  /** `contraction`: the totals and what is made of them, on the way to either operand. */
  readonly fromTotals: readonly Node[];
  /** One-to-one views between the anchor's domain and the root, in order. */
  readonly views: readonly Node[];
  /** How the kernel computes all this: of contractions from the pass `plan-contractions` on, of all others at last (planned.ts). */
  readonly plan?: Plan;
  /** What the kernel can give: the root first, unless nobody reads it. */
  readonly results: readonly Result[];
}

/** The groups of a graph. */
export interface Fusion {
  readonly graph: Graph;
  readonly groups: readonly FusionGroup[];
  /** Values that kernels leave in memory; none before the pass `materialize`, which chooses them. */
  readonly stored: ReadonlySet<Node>;
  /** Those of them that no kernel writes: they lie in memory as their parts do (concats.ts). */
  readonly concats: ReadonlyMap<Node, readonly Node[]>;
}

const NONE = { reductions: [], prologue: [], epilogue: [], sums: [], totals: [], fromTotals: [], views: [] } as const;

/** A group that gives one value, and computes nothing else that only it may. */
export const groupOf = (
  kind: FusionGroup['kind'],
  root: Node,
  more: Partial<Omit<FusionGroup, 'kind' | 'root' | 'results'>> = {},
): FusionGroup => ({ kind, root, ...NONE, ...more, results: [{ node: root, views: more.views ?? [] }] });

/** A kernel of its own for a value. What writes a slice walks over that. */
export const mapOf = (node: Node): FusionGroup => groupOf('map', node, writesSlice(node) ? { views: [node] } : {});

/** Shape of the domain of a map. */
export const mapShape = ({ root }: Pick<FusionGroup, 'root'>): Shape =>
  (writesSlice(root) ? root.inputs[0] : root).type.shape;

/** The values that a group computes and no other: all but what any reader may compute where it reads it. */
export const ownedBy = ({ anchor, reductions, prologue, fromTotals, epilogue, pieces }: FusionGroup): Node[] => [
  ...(anchor ? [anchor] : []),
  ...reductions,
  ...prologue,
  ...fromTotals,
  ...epilogue,
  ...(pieces?.reductions ?? []),
];

/** The group that alone computes each value. */
export const ownersOf = (groups: readonly FusionGroup[]): Map<Node, FusionGroup> =>
  new Map(groups.flatMap((group) => ownedBy(group).map((node) => [node, group])));

/** All values that groups give. */
export const givenBy = (groups: readonly FusionGroup[]): Set<Node> =>
  new Set(groups.flatMap(({ results }) => results.map(({ node }) => node)));

/** Shape of the kernel's domain that a result is computed on: its own before its views. */
export const domainOf = ({ node, views }: Pick<Result, 'node' | 'views'>): Shape =>
  (views[0]?.inputs[0] ?? node).type.shape;

/** Shape of the kernel's domain: of a row kernel, of what it reduces. */
export const fullShape = ({ kind, reductions, root, views }: FusionGroup): Shape =>
  kind === 'row' ? reductions[0].inputs[0].type.shape : domainOf({ node: root, views });

/** Where in the program a result is computed: its views may come later, where others want it so. */
export const placeInProgram = ({ node, views }: Result): number => (views[0]?.inputs[0] ?? node).id;

/** Whether two results are computed at the same index of the same domain. */
export const samePlaces = (a: Omit<Result, 'node'>, b: Omit<Result, 'node'>): boolean =>
  a.anchor === b.anchor && a.views.length === b.views.length && a.views.every((view, i) => view === b.views[i]);

/** In program order. */
export const byRoot = (a: FusionGroup, b: FusionGroup): number => a.root.id - b.root.id;
