/**
 * Products by matrix fragments: kernels of every shape that devices offer, run in this process against plain loops, and as WGSL by
 * Dawn's front end, which the null backend has on every machine.
 */
import { describe, expect, it } from 'vitest';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import { fragment, type ScalarType } from '../../../compiler/kernel/types.ts';
import type { ElementType, Expr, Kernel } from '../../../compiler/kernel/ir.ts';
import { Random } from '../../../compiler/ops/index.ts';
import { featuresOf, printKernel } from '../../../compiler/target/wgsl.ts';
import { runKernel } from '../../helpers/run-kernel.ts';
import { shaderCheck } from '../../helpers/shader-check.ts';

interface Case {
  readonly of: 'f16' | 'f32';
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** What the tiles in workgroup memory hold. */
  readonly tile: ElementType;
}

const CASES: readonly Case[] = [
  { of: 'f16', m: 16, n: 16, k: 16, tile: 'f16' },
  { of: 'f16', m: 16, n: 16, k: 16, tile: 'vec4h' },
  { of: 'f16', m: 8, n: 16, k: 16, tile: 'vec4h' },
  { of: 'f16', m: 8, n: 8, k: 8, tile: 'f16' },
  { of: 'f32', m: 8, n: 8, k: 8, tile: 'f32' },
  { of: 'f32', m: 8, n: 8, k: 8, tile: 'vec4f' },
];
const SUBGROUP = 32;
/** Subgroups of a workgroup, each with `m` rows of its own; steps of the depth. */
const [GROUPS, STEPS] = [2, 3];

/** x [GROUPS·m, STEPS·k] · yᵀ, y [n, STEPS·k]: staged in workgroup memory, by fragments from there. */
function product({ of, m, n, k, tile }: Case): Kernel {
  const b = new KernelBuilder();
  const depth = STEPS * k;
  const lanes = tile.startsWith('vec4') ? 4 : 1;
  const rows = GROUPS * m;
  const x = b.buffer('x', of, rows * depth, 'read');
  const y = b.buffer('y', of, n * depth, 'read');
  const out = b.buffer('out', 'f32', rows * n, 'read_write');
  const [left, right] = [rows, n].map((count, i) => b.sharedArray(['left', 'right'][i], (count * k) / lanes, tile));
  const lane = b.name('lane', 'u32', 0);
  const times = (a: Expr, by: number) => b.binary('*', a, b.u32(by));
  const own = b.bind('own', b.binary('/', lane, b.u32(SUBGROUP)));
  const sum = b.variable('sum', b.zeroFragment(fragment('f32', m, n, 'result')));
  const step = (t: Expr) => {
    for (const [array, from, count] of [[left, x, rows] as const, [right, y, n] as const]) {
      const elements = (count * k) / lanes;
      const workgroup = GROUPS * SUBGROUP;
      b.loop(`s`, Math.ceil(elements / workgroup), (s) => {
        const e = b.bind('e', b.binary('+', times(s, workgroup), lane));
        const write = () => {
          const [row, column] = [b.binary('/', e, b.u32(k / lanes)), b.binary('%', e, b.u32(k / lanes))];
          const first = b.binary('+', b.binary('+', times(row, depth), times(t, k)), times(column, lanes));
          const values = Array.from({ length: lanes }, (_, i) => b.load(from, b.binary('+', first, b.u32(i)), of));
          b.storeShared(array, e, lanes === 1 ? values[0] : b.call(tile as 'vec4h', values, tile));
        };
        if (elements % workgroup) b.when(b.binary('<', e, b.u32(elements)), write);
        else write();
      });
    }
    b.barrier();
    const stride = b.u32(k / lanes);
    const offset = times(own, (m * k) / lanes);
    const a = b.loadFragment(fragment(of, m, k, 'left'), { array: left, offset, stride, by: 'rows' });
    // y lies row by row, so its transpose column by column.
    const w = b.loadFragment(fragment(of, k, n, 'right'), { array: right, offset: b.u32(0), stride, by: 'columns' });
    b.assign(sum, b.multiplyAccumulate(a, w, b.read(sum)));
    b.barrier();
  };
  b.loop('t', STEPS, step);
  b.storeFragment(b.read(sum), { array: out, offset: times(own, m * n), stride: b.u32(n), by: 'rows' });
  return b.finish(GROUPS * SUBGROUP, [1, 1, 1], { size: SUBGROUP });
}

describe.each(CASES)('$of fragments of $m×$n over $k, tiles of $tile', (shape) => {
  const { m, n, k } = shape;
  const [rows, depth] = [GROUPS * m, STEPS * k];
  const kernel = product(shape);

  it('multiply', () => {
    const random = new Random(m + n);
    // Whole numbers: f16 has them too, and their sums are exact.
    const draw = (count: number) => Float64Array.from({ length: count }, () => random.int(-8, 8));
    const [x, y, out] = [draw(rows * depth), draw(n * depth), new Float64Array(rows * n)];
    runKernel(kernel, [x, y, out]);
    const want = out.map((_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let l = 0; l < depth; l++) sum += x[i * depth + l] * y[j * depth + l];
      return sum;
    });
    expect([...out]).toEqual([...want]);
  });

  it('are WGSL that Dawn takes', async () => {
    const check = await shaderCheck(featuresOf(kernel));
    expect(await check(printKernel(kernel, []))).toEqual([]);
  });
});

describe('the machine of these tests refuses', () => {
  const rows = (write: (b: KernelBuilder) => void, size = SUBGROUP) => {
    const b = new KernelBuilder();
    write(b);
    return b.finish(size, [1, 1, 1], { size: SUBGROUP });
  };
  const square = (of: ScalarType) => fragment(of, 8, 8, 'left');

  it('a fragment that leaves its array', () => {
    const reads = rows((b) => {
      const x = b.buffer('x', 'f32', 63, 'read');
      b.variable('a', b.loadFragment(square('f32'), { array: x, offset: b.u32(0), stride: b.u32(8), by: 'rows' }));
    });
    expect(() => runKernel(reads, [new Float64Array(63)])).toThrow('x[63] of 63 is read');
  });

  it('a fragment of workgroup memory that nobody has written', () => {
    const reads = rows((b) => {
      const tile = b.sharedArray('tile', 64, 'f32');
      b.storeShared(tile, b.name('lane', 'u32', 0), b.literal(1, 'f32'));
      b.barrier();
      b.variable('a', b.loadFragment(square('f32'), { array: tile, offset: b.u32(0), stride: b.u32(8), by: 'rows' }));
    });
    expect(() => runKernel(reads, [])).toThrow('tile[32] is read before it is written');
  });

  it('a subgroup that disagrees on where a fragment is', () => {
    const reads = rows((b) => {
      const x = b.buffer('x', 'f32', 256, 'read');
      const offset = b.name('lane', 'u32', 0);
      b.variable('a', b.loadFragment(square('f32'), { array: x, offset, stride: b.u32(8), by: 'rows' }));
    });
    expect(() => runKernel(reads, [new Float64Array(256)])).toThrow('a subgroup disagrees on a fragment');
  });

  it('rows of a fragment that overlap', () => {
    const reads = rows((b) => {
      const x = b.buffer('x', 'f32', 256, 'read');
      b.variable('a', b.loadFragment(square('f32'), { array: x, offset: b.u32(0), stride: b.u32(7), by: 'rows' }));
    });
    expect(() => runKernel(reads, [new Float64Array(256)])).toThrow('overlap');
  });
});

describe('workgroup memory of every type', () => {
  const TYPES: readonly [ElementType, number, number][] = [
    ['f32', 0.1, 0.1],
    // The nearest number of 16 bits.
    ['f16', 0.1, 0.0999755859375],
    ['vec4f', 0.1, 0.1],
    ['vec4h', 2049, 2048],
    ['vec2h', 1e-8, 0],
    ['i32', -3, -3],
    ['u32', 7, 7],
    ['bool', 1, 1],
  ];

  it.each(TYPES)('%s', async (type, value, want) => {
    const b = new KernelBuilder();
    const of = type.startsWith('vec') ? 'f32' : (type.replace('f16', 'f32') as ScalarType);
    const [x, y] = [b.buffer('x', of, 4, 'read'), b.buffer('y', of, 4, 'read_write')];
    const tile = b.sharedArray('tile', 4, type);
    const lane = b.name('lane', 'u32', 0);
    const given = b.load(x, lane);
    const vector = type.startsWith('vec') && type.replace('h', 'f');
    b.storeShared(tile, lane, vector ? b.call(vector as 'vec4f', [given], vector as 'vec4f') : given);
    b.barrier();
    const read = b.loadShared(tile, b.binary('-', b.u32(3), lane));
    b.store(y, lane, vector ? b.component(read, 1) : read);
    const kernel = b.finish(4, [1, 1, 1]);
    const out = new Float64Array(4);
    runKernel(kernel, [new Float64Array(4).fill(value), out]);
    expect([...out]).toEqual(Array(4).fill(want));
    const check = await shaderCheck(featuresOf(kernel));
    expect(await check(printKernel(kernel, []))).toEqual([]);
  });
});
