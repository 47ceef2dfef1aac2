/** Every access lies in its buffer, whatever the plan: kernels run where one that does not throws. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { KernelBuilder } from '../../../compiler/kernel/builder.ts';
import { Indexer } from '../../../compiler/kernel/index-map.ts';
import type { SharedArray } from '../../../compiler/kernel/ir.ts';
import { builtins } from '../../../compiler/plans/common.ts';
import { reducer } from '../../../compiler/kernel/inline.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import { choosePlan } from '../../../compiler/plans/registry.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runKernel } from '../../helpers/run-kernel.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

/** A product with all that an epilogue may read: a bias, rows of a table, a residual; and, of its left operand, row sums. */
const product = (m: number, n: number, k: number): Graph =>
  parseGraph(
    `graph @g(%x: f32[${m},${k}], %w: f32[${n},${k}], %bias: f32[${n}], %table: f32[5,${n}], %label: i32[${m}], %r: f32[${m},${n}]) {
      %product = linear %x, %w, %bias : f32[${m},${n}]
      %rows = gather %table, %label : f32[${m},${n}]
      %moved = add %product, %rows : f32[${m},${n}]
      %y = mul %moved, %r : f32[${m},${n}]
      return y = %y
    }`,
    opTable,
  );

const DEVICES: readonly DeviceSpec[] = [PORTABLE, { ...PORTABLE, kind: 'software' }, bySubgroups(4), bySubgroups(8)];
const SIZES = [
  [1, 6, 40],
  [2, 3, 200],
  [3, 9, 64],
  [4, 5, 33],
  [9, 7, 5],
  [33, 17, 12],
  [70, 66, 40],
] as const;

describe.each(SIZES)('a product of %i rows and %i columns over %i', (m, n, k) => {
  it.each(DEVICES)('on $name', (device) => {
    const graph = product(m, n, k);
    const random = new Random(m);
    const bindings = Object.fromEntries(
      graph.inputs.map((node) => [
        String(node.attrs.name),
        drawValues(random, node.type, node.type.dtype === 'i32' ? [0, 5] : undefined),
      ]),
    );
    const { y } = runSchedule(graph, bindings, { device, verify: true }).outputs;
    expect(relativeError(y, interpret(graph, bindings).outputs.y.data)).toBeLessThan(1e-6);
  });
});

it('what few rows of weights read of a bias they read under the condition that makes it theirs', () => {
  const { wgsl } = compileGraphs([product(2, 6, 200)], { device: PORTABLE });
  const [kernel] = [...wgsl.values()].filter((text) => text.includes('parts'));
  const [before, after] = kernel.split(/if \(lane < \d+u\) \{/);
  expect(before).not.toMatch(/= (bias|table)\[/);
  expect(after).toMatch(/bias\[/);
});

it('a load at an index that a condition bounds stays under it', () => {
  const b = new KernelBuilder();
  const ix = new Indexer(b);
  const [x, y] = [b.buffer('x', 'f32', 4, 'read'), b.buffer('y', 'f32', 4, 'read_write')];
  const { lane } = builtins(b);
  b.when(b.binary('<', lane, b.u32(4)), () => {
    const own = ix.expr(ix.atom(lane, 3));
    b.store(y, own, b.bind('value', b.load(x, own)));
  });
  const kernel = b.finish(8, [1, 1, 1]);
  const memory = [Float64Array.of(1, 2, 3, 4), new Float64Array(4)];
  runKernel(kernel, memory);
  expect([...memory[1]]).toEqual([1, 2, 3, 4]);
});

describe('the machine of these tests refuses', () => {
  const kernel = (write: (b: KernelBuilder) => void) => {
    const b = new KernelBuilder();
    write(b);
    return b.finish(4, [1, 1, 1]);
  };

  it('a read beyond a buffer', () => {
    const reads = kernel((b) => {
      const [x, y] = [b.buffer('x', 'f32', 3, 'read'), b.buffer('y', 'f32', 4, 'read_write')];
      b.store(y, builtins(b).lane, b.load(x, builtins(b).lane));
    });
    expect(() => runKernel(reads, [new Float64Array(3), new Float64Array(4)])).toThrow('x[3] of 3 is read');
  });

  it('a read of workgroup memory that nobody has written', () => {
    const reads = kernel((b) => {
      const [y, part] = [b.buffer('y', 'f32', 4, 'read_write'), b.sharedArray('part', 4)];
      b.when(b.binary('<', builtins(b).lane, b.u32(3)), () =>
        b.storeShared(part, builtins(b).lane, b.literal(1, 'f32')),
      );
      b.barrier();
      b.store(y, builtins(b).lane, b.loadShared(part, builtins(b).lane));
    });
    expect(() => runKernel(reads, [new Float64Array(4)])).toThrow('part[3] is read before it is written');
  });

  /** Invocations pass numbers on through workgroup memory: to the left, by way of `steps`. */
  const passing = (steps: (part: SharedArray, b: KernelBuilder) => void) =>
    kernel((b) => {
      const [y, part] = [b.buffer('y', 'f32', 4, 'read_write'), b.sharedArray('part', 5)];
      b.storeShared(part, builtins(b).lane, b.literal(1, 'f32'));
      b.when(b.binary('==', builtins(b).lane, b.u32(0)), () => b.storeShared(part, b.u32(4), b.literal(2, 'f32')));
      steps(part, b);
      b.store(y, builtins(b).lane, b.loadShared(part, builtins(b).lane));
    });
  const next = (b: KernelBuilder) => b.binary('+', builtins(b).lane, b.u32(1));
  const shift = (part: SharedArray, b: KernelBuilder, isApart: boolean) => {
    const value = b.bind('value', b.loadShared(part, next(b)));
    if (isApart) b.barrier();
    b.storeShared(part, builtins(b).lane, value);
  };

  it('a read of what another invocation has written, without a barrier between', () => {
    const reads = passing((part, b) => shift(part, b, true));
    expect(() => runKernel(reads, [new Float64Array(4)])).toThrow(
      'part[1] is read, which another invocation writes: a barrier is missing',
    );
  });

  it('a write over what another has read', () => {
    const writes = passing((part, b) => {
      b.barrier();
      shift(part, b, false);
    });
    expect(() => runKernel(writes, [new Float64Array(4)])).toThrow(
      'part[1] is written, which another invocation reads: a barrier is missing',
    );
  });

  it('two writes to one place', () => {
    const writes = passing((part, b) => b.storeShared(part, b.u32(4), b.literal(3, 'f32')));
    expect(() => runKernel(writes, [new Float64Array(4)])).toThrow(
      'part[4] is written, which another invocation writes: a barrier is missing',
    );
  });

  it('none of them where barriers lie between', () => {
    const memory = [new Float64Array(4)];
    const sound = passing((part, b) => {
      b.barrier();
      shift(part, b, true);
    });
    runKernel(sound, memory);
    expect([...memory[0]]).toEqual([1, 1, 1, 2]);
  });
});

describe('what has no recipe is told, not computed as another', () => {
  it('a reduction is one whose record says how it combines', () => {
    expect(() => reducer(new KernelBuilder(), { op: 'softmax', type: { dtype: 'f32', shape: [] } })).toThrow(
      'softmax is no reduction',
    );
  });

  it('a contraction is planned by what its record calls it', () => {
    const f = new Functional(new GraphBuilder(opTable));
    const [x, y] = ['x', 'y'].map((name) => f.op('input', [], { name, dtype: 'f32', shape: [4, 4] }));
    const anchor = { ...f.matmul(x, y), op: 'softmax' };
    const region = { kind: 'contraction', root: anchor, anchor } as unknown as Parameters<typeof choosePlan>[0];
    expect(() => choosePlan(region, PORTABLE)).toThrow('no family computes softmax');
  });
});
