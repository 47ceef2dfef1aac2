/** Kernels with several results: what becomes one kernel, what stays apart and why, what is written and where. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Node } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';

/** What each kernel writes, in order, `value over state` where it takes the state's place; and why others were not joined. */
function joined(body: string, signature = '%x: f32[16,16], %y: f32[16,16]') {
  const graph = parseGraph(`graph @g(${signature}) {\n${body}\n}`, opTable);
  const { regions, homes, remarks } = schedule(graph, { device: PORTABLE, passes: [] });
  const written = (node: Node) => {
    const home = homes.get(node);
    return `${node.name ?? node.op}${home ? ` over ${String(home.attrs.name)}` : ''}`;
  };
  const kernels = regions.map(({ region }) => region.results.map(({ node }) => written(node)).join(', '));
  const missed = remarks.list.filter(({ by, kind }) => by === 'merge' && kind === 'missed').map(({ why }) => why);
  return { kernels, missed, regions: regions.map(({ region }) => region) };
}

const STATE = '%s = state {dtype = "f32", name = "s", shape = [16, 16]} : f32[16,16]';

describe('become one kernel', () => {
  it.each<[string, string, string[]]>([
    [
      'a map and what reads it element by element',
      `%a = sin %x : f32[16,16]
       %b = exp %a : f32[16,16]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'maps of a few elements that wait for nothing',
      `%a = sin %x : f32[16,16]
       %b = exp %y : f32[16,16]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'a product and what reads it element by element',
      `%a = matmul %x, %y : f32[16,16]
       %b = exp %a : f32[16,16]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'a product and what reads it where it is stored by another layout',
      `%p = matmul %x, %y : f32[16,16]
       %a = permute %p {perm = [1, 0]} : f32[16,16]
       %b = exp %a : f32[16,16]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'maps that only read the same values',
      `%a = sin %x : f32[16,16]
       %b = exp %x : f32[16,16]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'reductions of the same rows',
      `%a = reduce_sum %x {axes = [1]} : f32[16,1]
       %b = reduce_max %x {axes = [1]} : f32[16,1]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'a map and the reduction of it',
      `%a = sin %x : f32[16,16]
       %b = reduce_sum %a {axes = [1]} : f32[16,1]
       return a = %a, b = %b`,
      ['a, b'],
    ],
    [
      'a reduction and what is spread over its rows, and what has one element a row',
      `%a = reduce_sum %x {axes = [1]} : f32[16,1]
       %b = add %x, %a : f32[16,16]
       %c = exp %a : f32[16,1]
       return a = %a, b = %b, c = %c`,
      ['a, b, c'],
    ],
    [
      'a reduction that needs another of the same rows',
      `%a = reduce_sum %x {axes = [1]} : f32[16,1]
       %b = sub %x, %a : f32[16,16]
       %c = mul %b, %b : f32[16,16]
       %d = reduce_sum %c {axes = [1]} : f32[16,1]
       return a = %a, d = %d`,
      ['a, d'],
    ],
    [
      'a map of a few elements and a number that does not depend on it',
      `%t = state {dtype = "f32", name = "t", shape = []} : f32[]
       %four = slice %x {start = [0, 0], size = [1, 4], step = [1, 1]} : f32[1,4]
       %a = mul %four, %t : f32[1,4]
       %n = exp %t : f32[]
       return a = %a, n = %n`,
      ['a, n'],
    ],
  ])('%s', (_, body, kernels) => {
    expect(joined(body).kernels).toEqual(kernels);
  });
});

it('a number beside a few elements is computed once, and what both read is not written over', () => {
  const graph = parseGraph(
    `graph @g() {
       %t = state {dtype = "f32", name = "t", shape = []} : f32[]
       %one = constant {dtype = "f32", shape = [], value = 1} : f32[]
       %e = exp %t : f32[]
       %l = sqrt %t : f32[]
       %e1 = reshape %e {shape = [1]} : f32[1]
       %l1 = reshape %l {shape = [1]} : f32[1]
       %both = concat %e1, %l1 {axis = 0} : f32[2]
       %next = add %t, %one : f32[]
       update %t = %next
       return both = %both
     }`,
    opTable,
  );
  const { outputs, updates, dispatches } = runSchedule(
    graph,
    { t: Float64Array.of(4) },
    { device: PORTABLE, verify: true },
  );
  expect(dispatches).toHaveLength(1);
  expect([...outputs.both]).toEqual([Math.exp(4), 2]);
  expect([...updates.t]).toEqual([5]);
});

describe('stay apart', () => {
  it.each<[string, string, string[]]>([
    [
      'a few elements and a number that they are computed from',
      `%four = slice %x {start = [0, 0], size = [1, 4], step = [1, 1]} : f32[1,4]
       %t = slice %y {start = [0, 0], size = [1, 1], step = [1, 1]} : f32[1,1]
       %n = exp %t : f32[1,1]
       %a = mul %four, %n : f32[1,4]
       return a = %a, n = %n`,
      ['n', 'a'],
    ],
    [
      'what reads another element',
      `%a = sin %x : f32[16,16]
       %t = permute %a {perm = [1, 0]} : f32[16,16]
       %b = exp %t : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'what reads the element itself and another one',
      `%a = sin %x : f32[16,16]
       %t = permute %a {perm = [1, 0]} : f32[16,16]
       %b = add %a, %t : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'what reads results of a product behind different views',
      `%a = matmul %x, %y : f32[16,16]
       %t = permute %a {perm = [1, 0]} : f32[16,16]
       %b = exp %t : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'two products',
      `%a = matmul %x, %y : f32[16,16]
       %b = matmul %y, %x : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'a map and a product of the same operands',
      `%a = sin %x : f32[16,16]
       %b = matmul %x, %y : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'reductions of rows and of columns',
      `%a = reduce_sum %x {axes = [1]} : f32[16,1]
       %b = reduce_sum %x {axes = [0]} : f32[1,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'what reads the sum of another row',
      `%a = reduce_sum %x {axes = [1]} : f32[16,1]
       %t = permute %a {perm = [1, 0]} : f32[1,16]
       %b = add %y, %t : f32[16,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
    [
      'maps of many elements that share nothing',
      `%p = concat %x, %x {axis = 0} : f32[32,16]
       %q = concat %y, %y {axis = 0} : f32[32,16]
       %a = sin %p : f32[32,16]
       %b = exp %q : f32[32,16]
       return a = %a, b = %b`,
      ['a', 'b'],
    ],
  ])('%s', (_, body, kernels) => {
    expect(joined(body).kernels).toEqual(kernels);
  });

  it('two between which a third one lies', () => {
    const { kernels, missed } = joined(`
      %a = sin %x : f32[16,16]
      %p = matmul %a, %y : f32[16,16]
      %t = permute %p {perm = [1, 0]} : f32[16,16]
      %b = add %a, %p : f32[16,16]
      %c = add %b, %t : f32[16,16]
      return a = %a, c = %c`);
    expect(kernels).toEqual(['a', 'p', 'c']);
    expect(missed).toEqual(['p lies between a and c']);
  });

  it('rows that are long and few, from what runs once an element', () => {
    const body = (rows: number, width: number) => `
      %a = sin %x : f32[${rows},${width}]
      %b = reduce_sum %a {axes = [1]} : f32[${rows},1]
      return a = %a, b = %b`;
    const kernels = (rows: number, width: number) => joined(body(rows, width), `%x: f32[${rows},${width}]`).kernels;
    expect(kernels(2, 2 ** 14)).toEqual(['a', 'b']);
    expect(kernels(16, 2 ** 14)).toEqual(['a, b']);
    expect(kernels(2, 2 ** 13)).toEqual(['a, b']);
  });

  it('what would bind more than the device does, and says so', () => {
    const others = (count: number) => Array.from({ length: count }, (_, i) => `p${i}`);
    const sum = (from: string, names: string[], to: string) =>
      names.map((p, i) => `%${to}${i + 1} = add %${i ? to + i : from}, %${p} : f32[16,16]`).join('\n');
    const body = (count: number) => `
      %a = sin %x : f32[16,16]
      ${sum('a', others(count), 'b')}
      return a = %a, b = %b${count}`;
    const signature = (count: number) => ['x', ...others(count)].map((name) => `%${name}: f32[16,16]`).join(', ');
    // Eight bindings: x, five more, two results.
    expect(joined(body(5), signature(5)).kernels).toEqual(['a, b5']);
    const apart = joined(body(6), signature(6));
    expect(apart.kernels).toEqual(['a', 'b6']);
    expect(apart.missed).toEqual([expect.stringMatching(/binding limit: with b6 the kernel binds 9 buffers of 8/)]);
  });
});

describe('what is written', () => {
  it('is what somebody else reads', () => {
    const { kernels } = joined(`
      %a = reduce_sum %x {axes = [1]} : f32[16,1]
      %b = sub %x, %a : f32[16,16]
      %c = mul %b, %b : f32[16,16]
      %d = reduce_sum %c {axes = [1]} : f32[16,1]
      %e = mul %b, %d : f32[16,16]
      return e = %e`);
    expect(kernels).toEqual(['e']);
  });

  it('leaves out the gradient that only the optimiser reads, in the gradient’s own kernel', () => {
    const step = `${STATE}
      %g = matmul %x, %y : f32[16,16]
      %next = add %s, %g : f32[16,16]
      update %s = %next`;
    expect(joined(`${step}\nreturn y = %y`).kernels).toEqual(['next over s']);
    expect(joined(`${step}\nreturn g = %g`).kernels).toEqual(['g, next over s']);
  });

  it('takes the place of state only where nobody reads that later', () => {
    const body = (later: string) => `${STATE}
      %a = sin %x : f32[16,16]
      %next = add %s, %a : f32[16,16]
      %p = matmul ${later}, %y : f32[16,16]
      update %s = %next
      return a = %a, p = %p`;
    // Whoever reads the old value runs before, where it can.
    expect(joined(body('%s')).kernels).toEqual(['p', 'a, next over s']);
    const mixed = joined(`${STATE}
      %a = sin %x : f32[16,16]
      %next = add %s, %a : f32[16,16]
      %q = matmul %next, %y : f32[16,16]
      %p = matmul %s, %q : f32[16,16]
      update %s = %next
      return a = %a, p = %p`);
    expect(mixed.kernels).toEqual(['a, next', 'q', 'p']);
  });

  it('takes the place of state only where the kernel reads that at the same element', () => {
    const { kernels, regions } = joined(`${STATE}
      %g = matmul %s, %x : f32[16,16]
      %next = add %s, %g : f32[16,16]
      update %s = %next
      return g = %g`);
    expect(kernels).toEqual(['g, next']);
    expect(regions[0].replaces.size).toBe(0);
  });

  it('does not take one place twice', () => {
    const { kernels, regions } = joined(`${STATE}
      %t = state {dtype = "f32", name = "t", shape = [16, 16]} : f32[16,16]
      %a = add %s, %t : f32[16,16]
      %b = mul %s, %t : f32[16,16]
      update %s = %a
      update %t = %b
      return y = %y`);
    expect(kernels).toEqual(['a over s, b over t']);
    expect(new Set(regions[0].replaces.values()).size).toBe(2);
  });
});

it('state that cannot be written over is counted by the binding limit', () => {
  // Four states are read by their own updates and, later, by a product that depends on all of these.
  const names = ['s0', 's1', 's2', 's3'];
  const body = `
    ${names.map((s) => `%${s} = state {dtype = "f32", name = "${s}", shape = [16, 16]} : f32[16,16]`).join('\n')}
    %a = sin %x : f32[16,16]
    ${names.map((s) => `%n${s} = add %${s}, %a : f32[16,16]`).join('\n')}
    %m0 = add %ns0, %ns1 : f32[16,16]
    %m1 = add %ns2, %ns3 : f32[16,16]
    %m = matmul %m0, %m1 : f32[16,16]
    %o0 = add %s0, %s1 : f32[16,16]
    %o1 = add %s2, %s3 : f32[16,16]
    %o = matmul %o0, %m : f32[16,16]
    %p = matmul %o1, %o : f32[16,16]
    ${names.map((s) => `update %${s} = %n${s}`).join('\n')}
    return p = %p`;
  const { regions } = joined(body);
  const bindings = regions.map(({ reads, results }) => reads.length + results.length);
  expect(Math.max(...bindings)).toBeLessThanOrEqual(PORTABLE.limits.maxStorageBuffersPerShaderStage);
  expect(regions.some(({ results }) => results.length > 1)).toBe(true);
});
