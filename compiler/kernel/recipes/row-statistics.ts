/**
 * Statistics of the left operand's rows, before a product: what a layer norm in front of a linear needs. Reductions run
 * over k; the normalised element is then computed where the product loads it.
 */
import { sameShape, type Node } from '../../ir/index.ts';
import { opDef } from '../../ops/index.ts';
import { ZERO, type Index } from '../index-map.ts';
import { backwardIndex, reducer } from '../inline.ts';
import type { Expr, SharedArray } from '../ir.ts';
import { builtins, byDepth, type Site } from './common.ts';

/** Index, in what the reductions reduce, of element k of row m of the left operand. */
function operandIndex({ region, inline }: Site, index: readonly Index[]): Index[] {
  const { shape } = region.reductions[0].inputs[0].type;
  const path: Node[] = [];
  // Only reshapes that keep rows whole lie between the operand and the normalised rows (schedule/absorb-rows.ts).
  let node = region.anchor!.inputs[0];
  while (node.op === 'reshape') {
    path.push(node);
    node = node.inputs[0];
  }
  const at = backwardIndex(inline.ix, path, index);
  if (at.length !== shape.length) throw new Error('row statistics: the operand is not made of the reduced rows');
  return at;
}

/** Each invocation reduces its own row. */
export function serialStatistics(site: Site, batch: readonly Index[], m: Index, length: number): void {
  const { b, inline, region } = site;
  for (const group of byDepth(site)) {
    const partials = group.map((node) => b.variable(node.name ?? 'total', reducer(b, node.op).neutral));
    b.loop('k', length, (k) => {
      const at = operandIndex(site, [...batch, m, inline.ix.atom(k, length - 1)]);
      group.forEach((node, i) => {
        const x = inline.value(node.inputs[0], at);
        b.assign(partials[i], reducer(b, node.op).combine(b.read(partials[i]), x));
      });
    });
    group.forEach((node, i) => {
      const result = b.bind(node.name ?? 'row_sum', b.read(partials[i]));
      inline.given.set(node, () => result);
    });
  }
  if (!region.reductions.length) throw new Error('row statistics: nothing to reduce');
}

/**
 * The workgroup shares its rows: `threads / rows` invocations reduce each, and leave the result in workgroup memory.
 * `row` gives the index of local row i; afterwards `select(i)` makes reads of the statistics those of local row i.
 */
export function sharedStatistics(
  site: Site,
  batch: readonly Index[],
  row: (i: Index) => Index,
  sizes: { rows: number; threads: number; length: number; rolled: boolean },
): (i: Index) => void {
  const { b, inline } = site;
  const { ix } = inline;
  const { rows, threads, length, rolled } = sizes;
  const perRow = threads / rows;
  const [local, part] = ix.divmod(ix.atom(builtins(b).lane, threads - 1), perRow);
  const scratch: SharedArray[] = [];
  const kept = new Map<Node, SharedArray>();
  const select = (i: Index) => {
    for (const [node, array] of kept)
      inline.given.set(node, () => b.bind(node.name ?? 'statistic', b.loadShared(array, ix.expr(i))));
  };
  const rounds = Math.ceil(length / perRow);
  const groups = byDepth(site);
  const wanted = rowValues(site, groups);
  groups.forEach((group, depth) => {
    select(local);
    const partials = group.map((node) => b.variable('total', reducer(b, node.op).neutral));
    b.loop(
      's',
      rounds,
      (s) => {
        const k = ix.add(ix.scale(ix.atom(s, rounds - 1), perRow), part);
        const inside = ix.clamp(k, length - 1, 'k_inside');
        const at = operandIndex(site, [...batch, row(local), inside]);
        group.forEach((node, i) => {
          const { neutral, combine } = reducer(b, node.op);
          const x = inline.value(node.inputs[0], at);
          const counted = inside === k ? x : b.call('select', [neutral, x, b.binary('<', ix.expr(k), b.u32(length))]);
          b.assign(partials[i], combine(b.read(partials[i]), counted));
        });
      },
      rolled,
    );
    group.forEach((_, i) => {
      scratch[i] ??= b.sharedArray('partials', threads);
      b.storeShared(scratch[i], builtins(b).lane, b.read(partials[i]));
    });
    b.barrier();
    const own = ix.atom(builtins(b).lane, rows - 1);
    b.when(b.binary('<', builtins(b).lane, b.u32(rows)), () => {
      select(own);
      group.forEach((node, i) => {
        const total = b.bind(node.name ?? 'row_sum', gather(site, node, scratch[i], perRow));
        inline.given.set(node, () => total);
      });
      for (const node of wanted[depth]) {
        const array = b.sharedArray(`row_${node.name ?? 'total'}`, rows);
        const at = operandIndex(site, [...batch, row(own), ZERO]);
        b.storeShared(array, builtins(b).lane, inline.value(node, at));
        kept.set(node, array);
      }
    });
    b.barrier();
  });
  return select;
}

/**
 * What is worth keeping of each row, by the group of reductions that completes it: the last values that are one a row (a mean,
 * an inverse deviation), so that they are computed once a row and not once an element.
 */
function rowValues({ region }: Site, groups: readonly Node[][]): Node[][] {
  const { shape } = region.reductions[0].type;
  const ready = new Map<Node, number>(groups.flatMap((group, depth) => group.map((node) => [node, depth] as const)));
  for (const node of region.members) {
    if (ready.has(node) || opDef(node.op).kind !== 'pointwise' || !sameShape(node.type.shape, shape)) continue;
    const depths = node.inputs.flatMap((input) => ready.get(input) ?? []);
    if (depths.length) ready.set(node, Math.max(...depths));
  }
  const isRead = (node: Node, depth: number) =>
    region.members.some((user) => user.inputs.includes(node) && ready.get(user) !== depth);
  return groups.map((_, depth) =>
    [...ready].flatMap(([node, at]) => (at === depth && isRead(node, depth) ? [node] : [])),
  );
}

/** The partial results of local row `lane`, combined in order. */
function gather({ b, inline: { ix } }: Site, node: Node, scratch: SharedArray, perRow: number): Expr {
  const { lane } = builtins(b);
  const first = ix.scale(ix.atom(lane, 1 << 16), perRow);
  const parts = Array.from({ length: perRow }, (_, i) => b.loadShared(scratch, ix.expr(ix.offset(first, i))));
  return parts.reduce((sum, x) => reducer(b, node.op).combine(sum, x));
}
