/** What the lab says of the bounds that kernels must keep. */
import { describe, expect, it } from 'vitest';
import type { Row } from '../../bench/lab/isa.ts';
import { loadsBeyond } from '../../bench/lab/loads.ts';
import { mustTable, type Section } from '../../bench/lab/must.ts';

const product = (name: string, macPerInstruction: number, macs: number, more: Partial<Row> = {}): Row => {
  return { name, plan: 'product-tiled-vec4', macs, macPerInstruction, ldsBytesPerMac: 1, spills: 0, ...more };
};
const section = (rows: Row[]): Section => ({ model: 'dit-s', entry: 'forward', batch: 1, dtype: 'f32', rows });
const linesOf = (rows: Row[], start: string) =>
  mustTable([section(rows)]).filter((line) => line.startsWith(`| ${start}`));

describe('the table of bounds', () => {
  it('shows the worst kernel of those that count, and whether it keeps the bound', () => {
    const rows = [product('fc1', 0.86, 1000), product('fc2', 0.82, 900), product('tiny', 0.3, 1)];
    expect(linesOf(rows, 'f32 products of DiT')).toEqual([
      '| f32 products of DiT and their two gradients, batch 1 and 8 | ≥ 0.8 mac/inst | 0.82 | fc2, dit-s forward f32 | met |',
      '| f32 products of DiT and their two gradients, batch 1 and 8 | ≤ 1 LDS B/mac | 1 | fc1, dit-s forward f32 | met |',
    ]);
    expect(linesOf(rows, 'f32 products of less')[0]).toContain('| 0.30 | tiny, dit-s forward f32 |  |');
  });

  it('says what does not keep it', () => {
    expect(linesOf([product('fc1', 0.79, 1000)], 'f32 products of DiT')[0]).toContain('| not met |');
    expect(linesOf([product('fc1', 0.9, 1000, { spills: 3 })], 'all kernels')[0]).toContain('| 3 | fc1');
    expect(linesOf([product('fc1', 0.9, 1000, { spills: 3 })], 'all kernels')[0]).toContain('| not met |');
  });

  it('never says met of kernels that are not there', () => {
    expect(linesOf([product('fc1', 0.9, 1000)], 'attention f32, forward')[0]).toContain('| – | no such kernel | |');
  });

  it('asks each loop of attention on matrix units, not the hottest alone', () => {
    const loop = (matrix: number) => ({ matrix }) as Row['loop'];
    const rows = [12, 7.5, 0.2].map((figure, i) =>
      product('v', figure, 100, { plan: 'attention-fragments', loop: loop(i < 2 ? 16 : 0) }),
    );
    expect(linesOf(rows, 'attention on fragments, head 64, forward')[0]).toContain('| 7.50 | v');
  });
});

describe('loads beyond the operands', () => {
  const kernel = (body: string) => `
@group(0) @binding(0) var<storage, read> x: array<vec4f, 64>;
@group(0) @binding(1) var<storage, read> w: array<vec4f, 64>;
@group(0) @binding(2) var<storage, read> means: array<f32, 64>;
fn main() {
  let before = means[0];
  for (var t = 0u; t < 2u; t++) {
${body}
  }
}
`;

  it.each([
    ['of the operands alone', '    a = x[t];\n    b = w[t];', 0],
    ['of another buffer', '    a = x[t] - means[t];\n    b = w[t] + w[t + 1u];', 1 / 4],
  ])('%s', (_, body, share) => expect(loadsBeyond(kernel(body))).toBe(share));

  it('says nothing of a kernel without such a loop', () => {
    expect(loadsBeyond('fn main() {}\n')).toBeUndefined();
  });
});
