/**
 * Product with few rows, bound by reading the right operand once: invocations beside each other load columns beside each other, four
 * each, and all their rows meet these in registers. Where there is too little to do, several share the depth.
 */
import { sizeOf } from '../../ir/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import type { Variable } from '../../kernel/ir.ts';
import { batchIndex, builtins, productOf, range, storeElement, storeFour, type Launch, type Site } from '../common.ts';
import { depthFactors, type Factor } from '../depth.ts';
import type { Part } from '../depth-parts.ts';
import { vectorAcrossK, vectorAlongK, type Source } from '../product-tiled-vec4/stage.ts';
import { FOUR, vectorsOf, type ColumnsProductPlan } from './plan.ts';

export function columnsProduct(site: Site, plan: ColumnsProductPlan): Launch {
  const { b, inline } = site;
  const { ix } = inline;
  const { rows, across, shares } = plan;
  const product = productOf(site);
  const { m, n } = product;
  const [gridX, gridY] = [Math.ceil(n / (FOUR * across)), Math.ceil(m / rows)];
  const { groupX, groupY, lane } = builtins(b);
  const batch = batchIndex(site, product.batch);
  const [share, column] = ix.divmod(ix.atom(lane, across * shares - 1), across);
  const left: Source = {
    length: m,
    first: ix.scale(ix.atom(groupY, gridY - 1), rows),
    load: (_, at, k) => product.left(batch, at, k),
  };
  const right: Source = {
    length: n,
    first: ix.scale(ix.add(ix.scale(ix.atom(groupX, gridX - 1), across), column), FOUR),
    load: (_, at, k) => product.right(batch, k, at),
  };
  const zero = b.call('vec4f', [b.literal(0, 'f32')], 'vec4f');
  const sums = range(rows).map((r) => b.variable(`acc_${r}`, zero));
  for (const part of product.parts) addPart(site, plan, part, share, [left, right], sums);
  addShares(site, plan, share, column, sums);
  const store = () => storeRows(site, batch, left, right, sums);
  if (shares === 1) store();
  else b.when(b.binary('==', ix.expr(share), b.u32(0)), store);
  return { workgroupSize: across * shares, grid: [gridX, gridY, sizeOf(product.batch)] };
}

/**
 * Adds a share of a stretch of the depth. Where an operand sees that as several axes, the longest is shared and the others are loops around
 * it: what they settle (a place of a window) holds for a whole run.
 */
function addPart(
  site: Site,
  plan: ColumnsProductPlan,
  part: Part,
  share: Index,
  operands: readonly Source[],
  sums: readonly Variable[],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const factors = depthFactors(site, part);
  const { size, times } = factors.pop()!;
  const along = (from: Index): Source[] =>
    operands.map((operand) => ({
      ...operand,
      load: (i, at, k, isFirst) => operand.load(i, at, ix.add(from, ix.scale(k, times)), isFirst),
    }));
  const walk = (outer: readonly Factor[], from: Index): void => {
    if (!outer.length) return addRun(site, plan, size, share, along(from), sums);
    const [factor, ...inner] = outer;
    const to = (i: Index) => ix.add(from, ix.scale(i, factor.times));
    b.loop('k', factor.size, (i) => walk(inner, to(ix.atom(i, factor.size - 1))));
  };
  walk(factors, { base: part.from, terms: [] });
}

/** Adds a share of a run: four steps, then those behind the other shares' four. Past the end both operands are 0: 0 · ∞ is NaN. */
function addRun(
  site: Site,
  { shares }: ColumnsProductPlan,
  size: number,
  share: Index,
  [left, right]: readonly Source[],
  sums: readonly Variable[],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const depth = FOUR * shares;
  const rounds = Math.ceil(size / depth);
  b.loop('s', rounds, (s) => {
    const steps = { depth, part: { from: 0, size }, tile: ix.atom(s, rounds - 1) };
    const factors = sums.map((_, r) => b.bind('x', vectorAlongK(site, left, steps, ix.offset(ZERO, r), share)));
    const columns = range(FOUR).map((u) =>
      b.bind('w', vectorAcrossK(site, right, steps, ZERO, ix.offset(ix.scale(share, FOUR), u))),
    );
    columns.forEach((vector, u) =>
      sums.forEach((sum, r) => {
        const factor = b.call('vec4f', [b.component(factors[r], u)], 'vec4f');
        b.assign(sum, b.call('fma', [factor, vector, b.read(sum)], 'vec4f'));
      }),
    );
  });
}

/** Gives the first share the sums of all: the upper half hands its own to the lower one, again and again. */
function addShares(
  { b, inline: { ix } }: Site,
  plan: ColumnsProductPlan,
  share: Index,
  column: Index,
  sums: readonly Variable[],
): void {
  const { across, shares } = plan;
  if (shares === 1) return;
  const others = b.sharedArray('others', vectorsOf(plan), 'vec4f');
  const place = (r: number, other: Index) => {
    const at = ix.add(ix.scale(other, sums.length * across), ix.offset(column, r * across));
    return ix.expr(at);
  };
  for (let half = shares / 2; half >= 1; half /= 2) {
    const isLower = b.binary('<', ix.expr(share), b.u32(half));
    const isUpper = b.binary('<', b.u32(half - 1), ix.expr(share));
    const isAsked = b.binary('<', ix.expr(share), b.u32(2 * half));
    b.when(b.binary('&&', isUpper, isAsked), () => {
      const upper = ix.shiftDown(share, half, half - 1);
      sums.forEach((sum, r) => b.storeShared(others, place(r, upper), b.read(sum)));
    });
    b.barrier();
    b.when(isLower, () => {
      const lower = ix.atom(ix.expr(share), half - 1);
      sums.forEach((sum, r) => b.assign(sum, b.binary('+', b.read(sum), b.loadShared(others, place(r, lower)))));
    });
    if (half > 1) b.barrier();
  }
}

/** Stores the invocation's rows, epilogue included. */
function storeRows(site: Site, batch: readonly Index[], left: Source, right: Source, sums: readonly Variable[]): void {
  const { b, inline } = site;
  const { ix } = inline;
  const inFours = right.length % FOUR === 0;
  const held = sums.map((sum) => b.read(sum));
  const tile = b.privateArray(
    'tile',
    inFours ? held : held.flatMap((sum) => range(FOUR).map((i) => b.component(sum, i))),
  );
  b.loop('r', sums.length, (r) => {
    const own = ix.atom(r, sums.length - 1);
    const row = [ix.add(left.first, own), left.length] as const;
    const value = (at: Index) => b.bind('product', b.loadShared(tile, ix.expr(at)));
    if (inFours) return storeFour(site, batch, row, [right.first, right.length], value(own));
    b.loop('c', FOUR, (c) => {
      const one = ix.atom(c, FOUR - 1);
      const element = value(ix.add(ix.scale(own, FOUR), one));
      storeElement(site, batch, row, [ix.add(right.first, one), right.length], element);
    });
  });
}
