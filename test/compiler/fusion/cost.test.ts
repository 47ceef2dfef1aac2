/** How often a value would be computed if it were not stored: once where an expression has it more than once, else each time. */
import { describe, expect, it } from 'vitest';
import { parseGraph } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';

/** How often %z, of 48×48 elements, is read, as the schedule says where it decides. */
function readsOfZ(body: string, z = '%t = tanh %a : f32[48,48]\n%z = tanh %t : f32[48,48]'): number {
  const text = `graph @g(%a: f32[48,48], %b: f32[48,48], %w: f32[48,96]) {
    ${z}
    ${body}
  }`;
  const { remarks } = schedule(parseGraph(text, opTable), { device: PORTABLE, passes: [] });
  const found = remarks.list.map(({ why }) => /^z \(2,304 elements\) is read ([\d,]+) times/.exec(why)?.[1]);
  return Number(found.find((count) => count)!.replaceAll(',', '')) / 2304;
}

describe('a value is computed', () => {
  it('once for all that an expression has of it', () => {
    const body = `%u = exp %z : f32[48,48]
      %v = mul %z, %u : f32[48,48]
      %y = add %v, %z : f32[48,48]
      return y = %y`;
    expect(readsOfZ(body)).toBe(1);
  });

  it('for each view of it', () => {
    const body = `%p = permute %z {perm = [1, 0]} : f32[48,48]
      %y = add %z, %p : f32[48,48]
      return y = %y`;
    expect(readsOfZ(body)).toBe(2);
  });

  it('in each pass over rows: mean, deviation, and what is made of both', () => {
    const body = `%sum = reduce_sum %z {axes = [1]} : f32[48,1]
      %c = sub %z, %sum : f32[48,48]
      %c2 = mul %c, %c : f32[48,48]
      %squares = reduce_sum %c2 {axes = [1]} : f32[48,1]
      %length = rsqrt %squares : f32[48,1]
      %y = mul %c, %length : f32[48,48]
      return y = %y`;
    expect(readsOfZ(body)).toBe(3);
  });

  it('in one pass for two reductions that do not wait for each other', () => {
    const body = `%sum = reduce_sum %z {axes = [1]} : f32[48,1]
      %most = reduce_max %z {axes = [1]} : f32[48,1]
      %y = add %sum, %most : f32[48,1]
      return y = %y`;
    expect(readsOfZ(body)).toBe(1);
  });

  it('for both operands of a product, which load it at different places', () => {
    // A tile of 64 holds the product: one column and one row of tiles.
    const body = `%l = neg %z : f32[48,48]
      %r = exp %z : f32[48,48]
      %y = matmul %l, %r : f32[48,48]
      return y = %y`;
    expect(readsOfZ(body)).toBe(2);
  });

  it('for each column of tiles, where a product computes the rows', () => {
    const body = `%sum = reduce_sum %z {axes = [1]} : f32[48,1]
      %c = sub %z, %sum : f32[48,48]
      %y = matmul %c, %w : f32[48,96]
      return y = %y`;
    // Two passes, and two columns of 64; no product does much work twice.
    expect(readsOfZ(body, '%z = add %a, %b : f32[48,48]')).toBe(4);
    expect(readsOfZ(body)).toBe(2);
  });
});

/** What it costs to store %z, as the schedule says where it decides. */
function storingZ(body: string): number {
  const text = `graph @g(%a: f32[48,48], %w: f32[48,96], %v: f32[96,1]) {
    %p = matmul %a, %w : f32[48,96]
    ${body}
    %l = neg %z : f32[48,96]
    %r = permute %z {perm = [1, 0]} : f32[96,48]
    %y = matmul %l, %r : f32[48,48]
    return y = %y, p = %p
  }`;
  const { remarks } = schedule(parseGraph(text, opTable), { device: PORTABLE, passes: [] });
  const found = remarks.list.map(({ why }) => /^z .* storing it ([\d,]+)/.exec(why)?.[1]);
  return Number(found.find((cost) => cost)!.replaceAll(',', ''));
}

describe('storing a value takes', () => {
  const DISPATCH = 1_000_000;

  it('no dispatch beside the kernel whose result it is made of', () => {
    expect(storingZ('%t = tanh %p : f32[48,96]\n%z = tanh %t : f32[48,96]')).toBeLessThan(DISPATCH);
  });

  it('a dispatch where another kernel comes between: what is subtracted is a product of the result', () => {
    const body = `%q = matmul %p, %v : f32[48,1]
      %c = sub %p, %q : f32[48,96]
      %t = tanh %c : f32[48,96]
      %z = tanh %t : f32[48,96]`;
    expect(storingZ(body)).toBeGreaterThan(DISPATCH);
  });
});

it('views that fork at every step are counted without walking all their paths', () => {
  const roll = (i: number) => `%lo${i} = slice %x${i} {size = [3], start = [0], step = [1]} : f32[3]
    %hi${i} = slice %x${i} {size = [5], start = [3], step = [1]} : f32[5]
    %x${i + 1} = concat %hi${i}, %lo${i} {axis = 0} : f32[8]`;
  const rolls = Array.from({ length: 40 }, (_, i) => roll(i)).join('\n');
  const text = `graph @g(%a: f32[1]) {\n%x0 = broadcast %a {shape = [8]} : f32[8]\n${rolls}\nreturn y = %x40\n}`;
  expect(schedule(parseGraph(text, opTable), { device: PORTABLE, passes: [] }).regions.length).toBeGreaterThan(0);
});
