/** Concatenations that take no kernel: when the parts are written into their places, when not, and that what is read is right. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Node } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { partsIn } from '../../../compiler/fusion/concats.ts';
import { resultsGraph } from '../../helpers/results-graph.ts';

/** What each kernel writes, in order, and where parts lie: `value in whole at byte`. */
function planned(body: string, signature = '%x: f32[16,16], %y: f32[16,16]', device = PORTABLE) {
  const graph = parseGraph(`graph @g(${signature}) {\n${body}\n}`, opTable);
  const { regions, memory } = schedule(graph, { device, passes: [], verify: true });
  const list = regions.map(({ region }) => region);
  const parts = partsIn(list);
  const nameOf = (node: Node) => node.name ?? String(node.attrs.name ?? node.op);
  const inWhole = (node: Node) =>
    parts.has(node) ? ` in ${nameOf(parts.get(node)!.whole)} at ${parts.get(node)!.offset}` : '';
  return {
    kernels: list.map(({ results }) => results.map(({ node }) => nameOf(node) + inWhole(node)).join(', ')),
    reads: list.map(({ reads }) => reads.map(nameOf).join(', ')),
    places: new Map([...memory.places].map(([node, place]) => [nameOf(node), place])),
  };
}

const PIECES = `
  %a = matmul %x, %y : f32[16,16]
  %b = matmul %y, %x : f32[16,16]`;

describe('take no kernel', () => {
  it('where kernels write all parts', () => {
    const { kernels, reads, places } = planned(`${PIECES}
      %whole = concat %a, %b {axis = 0} : f32[32,16]
      %z = matmul %whole, %x : f32[32,16]
      return z = %z`);
    expect(kernels).toEqual(['a in whole at 0', 'b in whole at 1024', 'z']);
    expect(reads[2]).toBe('whole, x');
    expect(places.get('b')).toEqual({ ...places.get('a')!, offset: places.get('a')!.offset + 1024 });
  });

  it('where parts are looked at in another shape', () => {
    const { kernels } = planned(`${PIECES}
      %p = reshape %a {shape = [1, 16, 16]} : f32[1,16,16]
      %q = reshape %b {shape = [1, 16, 16]} : f32[1,16,16]
      %whole = concat %p, %q {axis = 0} : f32[2,16,16]
      %rows = reshape %whole {shape = [32, 16]} : f32[32,16]
      %z = matmul %rows, %b : f32[32,16]
      return z = %z`);
    // Only %a can be written as %p: %b is read as it is too.
    expect(kernels).toEqual(['p in whole at 0', 'b in whole at 1024', 'z']);
  });

  it('where one kernel writes all of them', () => {
    const { kernels } = planned(
      `%a = reduce_sum %x {axes = [1]} : f32[64,1]
       %b = reduce_max %x {axes = [1]} : f32[64,1]
       %whole = concat %a, %b {axis = 0} : f32[128,1]
       %z = matmul %whole, %w : f32[128,16]
       return z = %z`,
      '%x: f32[64,16], %w: f32[1,16]',
    );
    expect(kernels).toEqual(['a in whole at 0, b in whole at 256', 'z']);
  });

  it('where what is joined was joined before, and of that more than a kernel reads', () => {
    const names = Array.from({ length: 9 }, (_, i) => `p${i}`);
    const products = names.map((name, i) => `%${name} = matmul %x, %y${i} : f32[16,16]`).join('\n');
    const operands = names.map((_, i) => `%y${i}: f32[16,16]`).join(', ');
    const { kernels } = planned(
      `${products}
       %first = concat %p0, %p1, %p2, %p3 {axis = 0} : f32[64,16]
       %next = concat %p4, %p5, %p6, %p7 {axis = 0} : f32[64,16]
       %both = concat %first, %next {axis = 0} : f32[128,16]
       %whole = concat %both, %p8 {axis = 0} : f32[144,16]
       %z = matmul %whole, %x : f32[144,16]
       return z = %z`,
      `%x: f32[16,16], ${operands}`,
    );
    expect(kernels).toEqual([...names.map((name, i) => `${name} in whole at ${1024 * i}`), 'z']);
  });

  it('where a window of the whole is read', () => {
    const { kernels, reads } = planned(`${PIECES}
      %whole = concat %a, %b {axis = 0} : f32[32,16]
      %half = slice %whole {size = [16, 16], start = [8, 0], step = [1, 1]} : f32[16,16]
      %z = matmul %half, %x : f32[16,16]
      %v = matmul %whole, %x : f32[32,16]
      return z = %z, v = %v`);
    expect(kernels.slice(0, 2)).toEqual(['a in whole at 0', 'b in whole at 1024']);
    expect(reads[kernels.indexOf('z')]).toBe('half, x');
  });
});

describe('are computed where they are read', () => {
  const consumer = '%z = matmul %whole, %x : f32[32,16]\nreturn z = %z';
  it.each<[string, string, string]>([
    [
      'a part was in memory before',
      `%a = matmul %x, %y : f32[16,16]\n%whole = concat %a, %y {axis = 0} : f32[32,16]`,
      consumer,
    ],
    ['a part comes twice', `${PIECES}\n%whole = concat %a, %a {axis = 0} : f32[32,16]`, consumer],
    [
      'parts are cut along another axis',
      `${PIECES}\n%wide = concat %a, %b {axis = 1} : f32[16,32]\n%whole = reshape %wide {shape = [32, 16]} : f32[32,16]`,
      consumer,
    ],
    [
      'a part starts where no binding can',
      `%a = matmul %s, %y : f32[3,16]\n%b = matmul %y, %x : f32[16,16]\n%whole = concat %a, %b {axis = 0} : f32[19,16]`,
      '%z = matmul %whole, %x : f32[19,16]\nreturn z = %z',
    ],
    [
      'a kernel reads one part and writes another',
      `%a = matmul %x, %y : f32[16,16]\n%b = matmul %a, %x : f32[16,16]\n%whole = concat %a, %b {axis = 0} : f32[32,16]`,
      consumer,
    ],
    ['a part is a result', `${PIECES}\n%whole = concat %a, %b {axis = 0} : f32[32,16]`, `${consumer}, b = %b`],
  ])('%s', (_, body, rest) => {
    const { kernels } = planned(`${body}\n${rest}`, '%x: f32[16,16], %y: f32[16,16], %s: f32[3,16]');
    expect(kernels.join('; ')).not.toMatch(/ in |whole/);
  });

  it('the device binds less than the whole', () => {
    const body = `${PIECES}\n%whole = concat %a, %b {axis = 0} : f32[32,16]\n${consumer}`;
    const limits = { ...PORTABLE.limits, maxStorageBufferBindingSize: 1024 };
    expect(() => planned(body, undefined, { ...PORTABLE, limits })).toThrow(/z takes 2048 bytes/);
    const { kernels } = planned(
      body
        .replace('%whole, %x : f32[32,16]', '%w, %x : f32[16,16]')
        .replace('%z = ', '%w = slice %whole {size = [16, 16], start = [8, 0], step = [1, 1]} : f32[16,16]\n%z = '),
      undefined,
      { ...PORTABLE, limits },
    );
    expect(kernels).toEqual(['a', 'b', 'z']);
  });
});

it('of two that share a part one takes it', () => {
  const { kernels } = planned(`${PIECES}
    %c = matmul %x, %x : f32[16,16]
    %one = concat %a, %b {axis = 0} : f32[32,16]
    %two = concat %b, %c {axis = 0} : f32[32,16]
    %z = matmul %one, %x : f32[32,16]
    %v = matmul %two, %x : f32[32,16]
    return z = %z, v = %v`);
  expect(kernels.filter((kernel) => kernel.includes(' in '))).toEqual(['a in one at 0', 'b in one at 1024']);
});

it('kernels are not joined where they would read a whole and write a part of it', () => {
  const { kernels } = planned(`${PIECES}
    %whole = concat %a, %b {axis = 0} : f32[32,16]
    %c = sin %b : f32[16,16]
    %other = matmul %c, %y : f32[16,16]
    %half = slice %whole {size = [16, 16], start = [0, 0], step = [1, 1]} : f32[16,16]
    %d = add %half, %c : f32[16,16]
    %z = matmul %whole, %d : f32[32,16]
    return z = %z, other = %other`);
  expect(kernels.filter((kernel) => kernel.includes(' in '))).toEqual(['a in whole at 0', 'b in whole at 1024']);
});

it('random graphs have some', () => {
  const regions = Array.from(
    { length: 40 },
    (_, seed) => schedule(resultsGraph(seed).graph, { device: PORTABLE }).regions,
  );
  const parts = regions.map((list) => partsIn(list.map(({ region }) => region)));
  expect(parts.filter(({ size }) => size > 0).length).toBeGreaterThan(5);
});
