/**
 * Statistics before a product: those of the left operand's rows (what a layer norm in front of a linear needs; reductions run
 * over k), or totals that all rows and columns share. The normalised element is then computed where the product loads it.
 */
import { sameShape, sizeOf, type Node } from '../ir/index.ts';
import { attrList, opDef } from '../ops/index.ts';
import { computeType } from '../kernel/builder.ts';
import { ZERO, type Index } from '../kernel/index-map.ts';
import { reducer, reshapeIndex } from '../kernel/inline.ts';
import type { Expr, SharedArray } from '../kernel/ir.ts';
import type { Region } from '../fusion/regions.ts';
import { builtins, range, storeResults, type Site } from './common.ts';
import { addTo, byDepth, byLength } from './rows.ts';
import type { Group } from './family.ts';

/**
 * Index, in what the reductions reduce, of element k of row m of the left operand: that is made of the reduced rows, element by
 * element, and at most regrouped (fusion/computable.ts).
 */
function operandIndex({ region, inline }: Site, index: readonly Index[]): Index[] {
  const [reduced] = region.reductions[0].inputs;
  return reshapeIndex(inline.ix, index, region.anchor!.inputs[0].type.shape, reduced.type.shape);
}

/** Each invocation reduces its own row. */
export function serialStatistics(site: Site, batch: readonly Index[], m: Index, length: number): void {
  const { b, inline, region } = site;
  for (const group of byDepth(region, region.reductions)) {
    const partials = group.map((node) => b.variable(node.name ?? 'total', reducer(b, node).neutral));
    b.loop(
      'k',
      length,
      (k) => {
        const at = operandIndex(site, [...batch, m, inline.ix.atom(k, length - 1)]);
        group.forEach((node, i) => addTo(b, partials[i], node, inline.value(node.inputs[0], at)));
      },
      true,
    );
    group.forEach((node, i) => {
      const result = b.bind(node.name ?? 'row_sum', b.read(partials[i]));
      inline.given.set(node, () => result);
    });
  }
  if (!region.reductions.length) throw new Error('row statistics: nothing to reduce');
}

interface Sharing {
  readonly threads: number;
  readonly rolled: boolean;
  /** Elements of a row are read four by four, where they divide so: the buffer that they lie in is one of vectors. */
  readonly inFours?: boolean;
}

/**
 * Bytes of workgroup memory that statistics take: partial results of the invocations, one array for each of the reductions that
 * share a pass, and what is kept of each row. Of a group that is not yet whole, as if nothing shared a pass.
 */
export function statisticsBytes(
  { reductions = [], totals = [], members, results = [] }: Group,
  threads: number,
  rows: number,
): number {
  const bytesOf = (all: readonly Node[], each: number) => {
    if (!all.length) return 0;
    const groups = members ? byDepth({ members }, all) : [[...all]];
    const kept = members ? rowValues({ results, members }, groups).flat().length : all.length;
    const arrays = new Set(groups.flatMap((group) => group.map(partialsOf)));
    return 4 * (threads * arrays.size + kept * each);
  };
  return bytesOf(reductions, rows) + (totals.length ? bytesOf(totals, sizeOf(totals[0].type.shape)) : 0);
}

/** Reductions that follow each other keep their partial results in the same arrays, as far as they are of one type. */
const partialsOf = ({ type: { dtype } }: Node, place: number): string => `${place} ${computeType(dtype)}`;

/** The left operand's rows, whose statistics the workgroup has. */
interface Rows {
  /** Makes reads of the statistics those of local row i. */
  select(i: Index): void;
  /** Stores what there is one of in each row, where `stores` holds. */
  storeRows(stores: (i: Index) => Expr): void;
  /** Stores what there is at element k of the selected local row i, where `stores` holds. */
  storeElements(i: Index, k: Index, stores: () => Expr): void;
}

/** Statistics of the left operand's rows. `row` gives the index of local row i. */
export function sharedStatistics(
  site: Site,
  batch: readonly Index[],
  row: (i: Index) => Index,
  sizes: Sharing & { rows: number; length: number },
): Rows {
  const { b, inline, region, outputs } = site;
  const at = (i: Index, k: Index) => operandIndex(site, [...batch, row(i), k]);
  const kept = reduceShared(site, { ...sizes, reductions: region.reductions, at });
  const { long, short } = byLength(
    outputs.filter(({ anchor }) => anchor === region.reductions[0]),
    region,
  );
  const select = (i: Index) => selectRow(site, kept, i);
  return {
    select,
    storeRows(stores) {
      if (!short.length) return;
      const { lane } = builtins(b);
      const own = () => inline.ix.atom(lane, sizes.rows - 1);
      b.when(b.binary('&&', b.binary('<', lane, b.u32(sizes.rows)), stores(own())), () => {
        const row = own();
        select(row);
        storeResults(site, at(row, ZERO), short);
      });
    },
    storeElements(i, k, stores) {
      if (long.length) b.when(stores(), () => storeResults(site, at(i, k), long));
    },
  };
}

/** The totals that everything in the product shares: each is read at its own index afterwards. */
export function sharedTotals(site: Site, sharing: Sharing): void {
  const { b, inline, region } = site;
  const { ix } = inline;
  const [first] = region.totals;
  const { shape } = first.inputs[0].type;
  const axes = attrList(first.attrs, 'axes');
  const length = axes.reduce((n, axis) => n * shape[axis], 1);
  const along = shape.map((n, axis) => (axes.includes(axis) ? n : 1));
  const at = (row: Index, k: Index) => {
    const [kept, reduced] = [ix.unflatten(row, first.type.shape), ix.unflatten(k, along)];
    return shape.map((_, axis) => (axes.includes(axis) ? reduced[axis] : kept[axis]));
  };
  const rows = sizeOf(first.type.shape);
  const kept = reduceShared(site, { ...sharing, rows, length, reductions: region.totals, at });
  for (const [node, array] of kept) {
    const read = (index: readonly Index[]) => b.loadShared(array, ix.expr(ix.flatten(index, node.type.shape)));
    inline.given.set(node, (index) => b.bind(node.name ?? 'total', read(index)));
  }
}

/** Makes reads of kept statistics those of row i. */
function selectRow({ b, inline }: Site, kept: ReadonlyMap<Node, SharedArray>, i: Index): void {
  for (const [node, array] of kept)
    inline.given.set(node, () => b.bind(node.name ?? 'statistic', b.loadShared(array, inline.ix.expr(i))));
}

/**
 * The workgroup shares its rows: `threads / rows` invocations reduce each, and leave what is worth keeping in workgroup memory.
 * `at` gives the index, in what is reduced, of element k of row i.
 */
function reduceShared(
  site: Site,
  {
    rows,
    threads,
    length,
    rolled,
    inFours,
    reductions,
    at,
  }: Sharing & {
    rows: number;
    length: number;
    reductions: readonly Node[];
    at(i: Index, k: Index): Index[];
  },
): ReadonlyMap<Node, SharedArray> {
  const { b, inline } = site;
  const { ix } = inline;
  const perRow = threads / rows;
  const [local, part] = ix.divmod(ix.atom(builtins(b).lane, threads - 1), perRow);
  const scratch = new Map<string, SharedArray>();
  const kept = new Map<Node, SharedArray>();
  // Elements that an invocation takes at once, one after the other.
  const width = inFours && length % 4 === 0 ? 4 : 1;
  const runs = length / width;
  const rounds = Math.ceil(runs / perRow);
  const groups = byDepth(site.region, reductions);
  const wanted = rowValues(site.region, groups);
  groups.forEach((group, depth) => {
    selectRow(site, kept, local);
    const partials = group.map((node) => b.variable('total', reducer(b, node).neutral));
    b.loop(
      's',
      rounds,
      (s) => {
        const run = ix.add(ix.scale(ix.atom(s, rounds - 1), perRow), part);
        const inside = ix.clamp(run, runs - 1, 'k_inside');
        const isInside = () => b.binary('<', ix.expr(run), b.u32(runs));
        for (const u of range(width)) {
          const index = at(local, ix.offset(ix.scale(inside, width), u));
          group.forEach((node, i) =>
            addTo(b, partials[i], node, inline.value(node.inputs[0], index), inside === run ? undefined : isInside()),
          );
        }
      },
      rolled,
    );
    const arrays = group.map((node, i) => {
      const known = scratch.get(partialsOf(node, i));
      const array = known ?? b.sharedArray('partials', threads, computeType(node.type.dtype));
      scratch.set(partialsOf(node, i), array);
      return array;
    });
    arrays.forEach((array, i) => {
      b.storeShared(array, builtins(b).lane, b.read(partials[i]));
    });
    b.barrier();
    b.when(b.binary('<', builtins(b).lane, b.u32(rows)), () => {
      const own = ix.atom(builtins(b).lane, rows - 1);
      selectRow(site, kept, own);
      group.forEach((node, i) => {
        const total = b.bind(node.name ?? 'row_sum', gather(site, node, arrays[i], perRow));
        inline.given.set(node, () => total);
      });
      for (const node of wanted[depth]) {
        const array = b.sharedArray(`row_${node.name ?? 'total'}`, rows, computeType(node.type.dtype));
        b.storeShared(array, builtins(b).lane, inline.value(node, at(own, ZERO)));
        kept.set(node, array);
      }
    });
    b.barrier();
  });
  return kept;
}

/**
 * What is worth keeping of each row, by the group of reductions that completes it: the last values that are one a row (a mean,
 * an inverse deviation), so that they are computed once a row and not once an element.
 */
function rowValues({ results, members }: Pick<Region, 'results' | 'members'>, groups: readonly Node[][]): Node[][] {
  const { shape } = groups[0][0].type;
  const isResult = (node: Node) => results.some((result) => result.node === node);
  const isMemberRead = (node: Node) => members.some((user) => user.inputs.includes(node));
  const ready = new Map<Node, number>(groups.flatMap((group, depth) => group.map((node) => [node, depth] as const)));
  for (const node of members) {
    // What is only written is computed there, by those who write it: it may replace what it is computed from.
    if (!isMemberRead(node) && isResult(node)) continue;
    if (ready.has(node) || opDef(node.op).kind !== 'pointwise' || !sameShape(node.type.shape, shape)) continue;
    const depths = node.inputs.flatMap((input) => ready.get(input) ?? []);
    if (depths.length) ready.set(node, Math.max(...depths));
  }
  const isRead = (node: Node, depth: number) =>
    isResult(node) || members.some((user) => user.inputs.includes(node) && ready.get(user) !== depth);
  return groups.map((_, depth) =>
    [...ready].flatMap(([node, at]) => (at === depth && isRead(node, depth) ? [node] : [])),
  );
}

/** The partial results of local row `lane`, combined in order. */
function gather({ b, inline: { ix } }: Site, node: Node, scratch: SharedArray, perRow: number): Expr {
  const { lane } = builtins(b);
  const first = ix.scale(ix.atom(lane, 1 << 16), perRow);
  const parts = Array.from({ length: perRow }, (_, i) => b.loadShared(scratch, ix.expr(ix.offset(first, i))));
  return parts.reduce((sum, x) => reducer(b, node).combine(sum, x));
}
