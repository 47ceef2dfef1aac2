/**
 * Products of rows by a workgroup: tiles of both operands pass through workgroup memory, and each invocation holds a block of the result
 * in registers. What the families of attention for GPUs are made of.
 */
import { maxOf, type Index } from '../kernel/index-map.ts';
import type { Expr, SharedArray, Variable } from '../kernel/ir.ts';
import { asVector, builtins, range, type Site } from './common.ts';

/** `down` × `across` invocations; each has `quads` fours of the tile's rows, and of its columns every `across`-th. */
export interface Team {
  readonly site: Site;
  readonly down: number;
  readonly across: number;
  readonly quads: number;
  /** This invocation's place. */
  readonly row: Index;
  readonly column: Index;
  /** Vectors of workgroup memory. */
  readonly memory: SharedArray;
}

/** An invocation's block of a result: `[column][quad]`, vectors over four rows. */
export type Block = readonly (readonly Variable[])[];

/** Where a tile lies in workgroup memory, in vectors: its first, and from a row (column) to the next. */
export interface Place {
  readonly start: number;
  readonly stride: number;
}

/** A stride that keeps neighbours out of each other's banks. */
export const strideOf = (vectors: number): number => vectors | 1;

export function teamOf(
  site: Site,
  { down, across, rows }: { down: number; across: number; rows: number },
  memory: SharedArray,
): Team {
  const { b, inline } = site;
  const [row, column] = inline.ix.divmod(inline.ix.atom(builtins(b).lane, down * across - 1), across);
  return { site, down, across, quads: rows / 4, row, column, memory };
}

export const splat = ({ b }: Site, value: Expr): Expr => b.call('vec4f', [value], 'vec4f');
export const zeros = (site: Site): Expr => splat(site, site.b.literal(0, 'f32'));

/** Which of the tile's fours of rows is this invocation's number j; which of its columns number c. */
export const quadOf = ({ site, row, down }: Team, j: number): Index => site.inline.ix.offset(row, j * down);
export const columnOf = ({ site, column, across }: Team, c: number): Index => site.inline.ix.offset(column, c * across);

/** Row r of the invocation's four number j, in the tile. */
export function rowOf(team: Team, j: number, r: number): Index {
  const { ix } = team.site.inline;
  return ix.offset(ix.scale(quadOf(team, j), 4), r);
}

export const blockOf = ({ site, quads }: Team, columns: number, hint: string): Block =>
  range(columns).map((c) => range(quads).map((j) => site.b.variable(`${hint}_${c}_${j}`, zeros(site))));

/** Elements 4·four and on of a row so wide; 0 beyond its end. */
export function fourOf({ b, inline }: Site, width: number, four: Index, at: (column: Index) => Expr): Expr {
  const { ix } = inline;
  const zero = b.literal(0, 'f32');
  if (width % 4 === 0) {
    const inside = ix.clamp(four, width / 4 - 1, 'four');
    const vector = asVector(
      { b } as Site,
      range(4).map((u) => at(ix.offset(ix.scale(inside, 4), u))),
    );
    if (inside === four) return vector;
    const isInside = b.binary('<', ix.expr(four), b.u32(width / 4));
    return b.call('select', [b.call('vec4f', [zero], 'vec4f'), vector, isInside]);
  }
  const elements = range(4).map((u) => {
    const column = ix.offset(ix.scale(four, 4), u);
    const inside = ix.clamp(column, width - 1, 'column');
    const value = at(inside);
    return inside === column ? value : b.call('select', [zero, value, b.binary('<', ix.expr(column), b.u32(width))]);
  });
  return b.call('vec4f', elements, 'vec4f');
}

/** A tile on its way to workgroup memory: `lines` of `pieces` that the invocations share, each of one or more vectors. */
export interface Staged {
  readonly lines: number;
  readonly pieces: number;
  /** The vectors of a piece, and where they go. */
  piece(line: Index, i: Index): readonly { readonly place: Index; readonly value: Expr }[];
}

/** Rows of so many vectors, as they lie in memory. */
export const rowsOf = (
  { inline }: Site,
  { start, stride }: Place,
  [rows, vectors]: readonly [number, number],
  at: (row: Index, four: Index) => Expr,
): Staged => ({
  lines: rows,
  pieces: vectors,
  piece(row, four) {
    const { ix } = inline;
    return [{ place: ix.offset(ix.add(ix.scale(row, stride), four), start), value: at(row, four) }];
  },
});

/** Columns of what `at` has row by row: vectors over four rows. */
export const columnsOf = (
  { b, inline }: Site,
  { start, stride }: Place,
  [rows, columns]: readonly [number, number],
  at: (row: Index, four: Index) => Expr,
): Staged => ({
  lines: Math.ceil(columns / 4),
  pieces: rows / 4,
  piece(four, quad) {
    const { ix } = inline;
    const vectors = range(4).map((u) => b.bind('row', at(ix.offset(ix.scale(quad, 4), u), four)));
    return range(4).map((c) => ({
      place: ix.offset(ix.add(ix.scale(ix.offset(ix.scale(four, 4), c), stride), quad), start),
      value: b.call(
        'vec4f',
        vectors.map((vector) => b.component(vector, c)),
        'vec4f',
      ),
    }));
  },
});

/**
 * Loads the tiles, all before the first is stored, so that the loads wait together. A barrier is to follow. Whole lines are dealt out in
 * each round: rounds then differ by a constant, not by an address of their own.
 */
export function stage(
  site: Site,
  { lanes, memory }: { lanes: number; memory: SharedArray },
  tiles: readonly Staged[],
): void {
  const { b, inline } = site;
  const { ix } = inline;
  const lane = ix.atom(builtins(b).lane, lanes - 1);
  const loaded = tiles.map((tile) => {
    const { lines, pieces, piece } = fitted(site, tile, lanes);
    const atOnce = Math.floor(lanes / pieces);
    const [quotient, i] = ix.divmod(lane, pieces);
    const own = ix.clamp(quotient, atOnce - 1, 'line');
    const rounds = range(Math.ceil(lines / atOnce)).map((s) => {
      const line = ix.offset(own, s * atOnce);
      const vectors = piece(ix.clamp(line, lines - 1, 'line'), i);
      const asHeld = ({ place, value }: (typeof vectors)[number]) => ({
        place,
        value: b.bind('next', b.convert(value, memory.type)),
      });
      return { line, vectors: vectors.map(asHeld) };
    });
    return { lines, busy: atOnce * pieces, rounds };
  });
  for (const { lines, busy, rounds } of loaded)
    whenBelow(site, lane, busy, () =>
      rounds.forEach(({ line, vectors }) =>
        whenBelow(site, line, lines, () =>
          vectors.forEach(({ place, value }) => b.storeShared(memory, ix.expr(place), value)),
        ),
      ),
    );
}

/** A tile whose lines are no longer than so many invocations load at once: of longer ones, parts are lines. */
function fitted({ inline: { ix } }: Site, tile: Staged, lanes: number): Staged {
  const { lines, pieces, piece } = tile;
  const parts = range(pieces).find((i) => pieces % (i + 1) === 0 && pieces / (i + 1) <= lanes)! + 1;
  if (parts === 1) return tile;
  return {
    lines: lines * parts,
    pieces: pieces / parts,
    piece(line, i) {
      const [whole, part] = ix.divmod(line, parts);
      return piece(whole, ix.add(ix.scale(part, pieces / parts), i));
    },
  };
}

/** Does what only the invocations do whose index is below a bound. */
function whenBelow({ b, inline }: Site, index: Index, bound: number, body: () => void): void {
  if (maxOf(index) < bound) body();
  else b.when(b.binary('<', inline.ix.expr(index), b.u32(bound)), body);
}

/** The invocation's fours of rows at four steps of what rows are multiplied along: four number j at step u. */
export type Rows = (four: Index) => (j: number, u: number) => Expr;

/** Rows that were staged as they lie. */
export const stagedRows = (team: Team, { start, stride }: Place): Rows => {
  const { b, inline } = team.site;
  const { ix } = inline;
  return (four) => {
    const vectors = range(team.quads).map((j) =>
      range(4).map((r) => {
        const place = ix.offset(ix.add(ix.scale(rowOf(team, j, r), stride), four), start);
        return b.bind(`row_${j}_${r}`, b.loadShared(team.memory, ix.expr(place)));
      }),
    );
    return (j, u) => {
      const parts = vectors[j].map((vector) => b.component(vector, u));
      return b.bind(`rows_${j}_${u}`, b.call('vec4f', parts, 'vec4f'));
    };
  };
};

/** Blocks that were handed around (`share`), from number `first` of the columns on, which are the steps now. */
export const sharedRows = (team: Team, { start, stride }: Place, first: Index): Rows => {
  const { b, inline } = team.site;
  const { ix } = inline;
  return (four) => {
    const at = (j: number, u: number) => {
      const step = ix.add(first, ix.offset(ix.scale(four, 4), u));
      return ix.offset(ix.add(ix.scale(step, stride), quadOf(team, j)), start);
    };
    const vectors = range(team.quads).map((j) =>
      range(4).map((u) => b.bind(`rows_${j}_${u}`, b.loadShared(team.memory, ix.expr(at(j, u))))),
    );
    return (j, u) => vectors[j][u];
  };
};

/** Adds to a block rows · columns over 4·`fours` steps. */
export function multiply(team: Team, block: Block, fours: number, rows: Rows, columns: Place): void {
  const { b, inline } = team.site;
  const { ix } = inline;
  b.loop('four', fours, (f) => {
    const four = ix.atom(f, fours - 1);
    const row = rows(four);
    block.forEach((quads, c) => {
      const place = ix.offset(ix.add(ix.scale(columnOf(team, c), columns.stride), four), columns.start);
      const column = b.bind(`column_${c}`, b.loadShared(team.memory, ix.expr(place)));
      range(4).forEach((u) =>
        quads.forEach((sum, j) => {
          const factor = splat(team.site, b.component(column, u));
          b.assign(sum, b.call('fma', [row(j, u), factor, b.read(sum)], 'vec4f'));
        }),
      );
    });
  });
}

/** Hands a block to all invocations: its columns one after the other, as vectors over rows. */
export function share(team: Team, { start, stride }: Place, values: readonly (readonly Expr[])[]): void {
  const { b, inline } = team.site;
  const { ix } = inline;
  values.forEach((quads, c) =>
    quads.forEach((value, j) => {
      const place = ix.add(ix.scale(columnOf(team, c), stride), quadOf(team, j));
      b.storeShared(team.memory, ix.expr(ix.offset(place, start)), value);
    }),
  );
}

/**
 * Of each of the rows what the invocations beside each other have of it, combined. By shuffles where the subgroups' size is known,
 * else through workgroup memory, from `start` on: nobody may have read or written there since the last barrier.
 */
export function alongRows(
  team: Team,
  own: readonly Expr[],
  combine: (x: Expr, y: Expr) => Expr,
  { bySubgroups, start }: { bySubgroups: boolean; start: number },
): Expr[] {
  const { site, across, down, memory } = team;
  const { b, inline } = site;
  const { ix } = inline;
  if (bySubgroups) return own.map((value) => shuffled(team, value, combine));
  const stride = down * own.length;
  const place = (lane: Index, j: number) => ix.expr(ix.offset(ix.add(ix.scale(lane, stride), quadOf(team, j)), start));
  own.forEach((value, j) => b.storeShared(memory, place(team.column, j), value));
  b.barrier();
  return own.map((_, j) =>
    range(across)
      .map((lane) => b.loadShared(memory, place({ base: lane, terms: [] }, j)))
      .reduce((x, y) => combine(b.bind('part', x), y)),
  );
}

/** Vectors of workgroup memory that `alongRows` takes. */
export const partVectors = (down: number, across: number, rows: number): number => (across * down * rows) / 4;

function shuffled({ site: { b }, across }: Team, value: Expr, combine: (x: Expr, y: Expr) => Expr): Expr {
  let all = b.bind('own', value);
  for (let apart = 1; apart < across; apart *= 2) {
    const parts = range(4).map((r) => b.call('subgroupShuffleXor', [b.component(all, r), b.u32(apart)]));
    all = b.bind('all', combine(all, b.call('vec4f', parts, 'vec4f')));
  }
  return all;
}
