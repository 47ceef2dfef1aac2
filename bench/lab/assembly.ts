/** What a listing of AMD machine code does, by counting: its instructions, multiply-adds, loads. */

/** Lanes of the waves that figures are for. */
const WAVE = 32;
/** Multiply-adds of one 16×16×16 product of matrices, of each lane. */
const PER_MATRIX = 16 ** 3 / WAVE;

export interface Mix {
  /** Issued; two that are issued together are one. */
  readonly instructions: number;
  /** Multiply-adds of a lane, those of matrix units included. */
  readonly macs: number;
  readonly matrix: number;
  readonly ldsLoads: number;
  readonly ldsBytes: number;
  readonly globalLoads: number;
  readonly globalBytes: number;
  readonly globalStores: number;
  readonly barriers: number;
}

/** Lines of code alone, without comments. */
export const codeOf = (listing: string): string[] =>
  listing
    .slice(Math.max(listing.indexOf('=== Assembly'), 0))
    .split('\n')
    .map((line) => line.replace(/;.*$/, '').trim())
    .filter((line) => line && !line.startsWith('==='));

/** The operations that one line issues. */
const opsOf = (line: string): string[] =>
  /^BB\d+:/.test(line)
    ? []
    : line.split(/\s*::\s*/).map((part) =>
        part
          .trim()
          .split(/\s+/)[0]
          .replace(/_(e32|e64|dpp|sdwa)$/, ''),
      );

const BYTES: Readonly<Record<string, number>> = {
  ...{ u8: 1, i8: 1, b8: 1, ubyte: 1, sbyte: 1, u16: 2, i16: 2, b16: 2, d16: 2, ushort: 2, short: 2 },
  ...{ b32: 4, b64: 8, b96: 12, b128: 16, dword: 4, dwordx2: 8, dwordx3: 12, dwordx4: 16 },
};

/** Bytes that a load reads for each lane. */
function bytesOf(op: string): number {
  const size = BYTES[op.split('_').find((part) => part in BYTES) ?? 'b32'];
  return op.includes('2addr') ? 2 * size : size;
}

/** Multiply-adds of numbers, not those of addresses. */
const MULTIPLY_ADD = /^v_(dual_)?(fmac|fma|mac|mad|pk_fma|pk_fmac|dot2)\w*_f(16|32|64)/;

function macsOf(op: string): number {
  if (op.includes('wmma')) return PER_MATRIX;
  if (!MULTIPLY_ADD.test(op)) return 0;
  return op.includes('pk_') || op.includes('dot2') ? 2 : 1;
}

export function mixOf(code: readonly string[]): Mix {
  const issued = code.map(opsOf).filter((ops) => ops.length);
  const ops = issued.flat();
  const lds = ops.filter((op) => /^ds_(load|read)/.test(op));
  const global = ops.filter((op) => /^(global|buffer|flat)_load/.test(op));
  const sum = (list: readonly string[], of: (op: string) => number) => list.reduce((all, op) => all + of(op), 0);
  return {
    instructions: issued.length,
    macs: sum(ops, macsOf),
    matrix: ops.filter((op) => op.includes('wmma')).length,
    ldsLoads: lds.length,
    ldsBytes: sum(lds, bytesOf),
    globalLoads: global.length,
    globalBytes: sum(global, bytesOf),
    globalStores: ops.filter((op) => /^(global|buffer|flat)_store/.test(op)).length,
    barriers: ops.filter((op) => op.startsWith('s_barrier')).length,
  };
}

/** The innermost loops that multiply, those that do most first; all of the code where none does. */
export function hotLoops(code: readonly string[]): Mix[] {
  const labels = new Map(
    code.flatMap((line, i) => {
      const label = /^(BB\d+):/.exec(line)?.[1];
      return label ? [[label, i] as const] : [];
    }),
  );
  const loops = code.flatMap((line, end) => {
    const target = /s_c?branch\S*\s+(BB\d+)/.exec(line)?.[1];
    const start = target === undefined ? undefined : labels.get(target);
    return start !== undefined && start <= end ? [{ start, end }] : [];
  });
  const innermost = loops.filter(
    (one) => !loops.some((other) => other !== one && other.start >= one.start && other.end <= one.end),
  );
  const mixes = innermost.map(({ start, end }) => mixOf(code.slice(start, end + 1)));
  const busy = mixes.filter(({ macs }) => macs > 0).sort((a, b) => b.macs - a.macs);
  return busy.length ? busy : [mixOf(code)];
}
