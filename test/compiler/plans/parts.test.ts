/**
 * A part of a product (a transposed convolution without its border, a picture without its padding) is stored by the product's kernel,
 * with what follows: whichever family computes it, whichever rows and columns are left out, by fours and one by one.
 */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import type { Node } from '../../../compiler/ir/index.ts';
import type { Functional } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { candidatesFor, FAMILIES } from '../../../compiler/plans/registry.ts';
import { check } from '../../fuzz/check.ts';
import { drawBindings } from '../../models/zoo.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { bySubgroups, GPU, HARDWARE } from '../../helpers/devices.ts';
import { MATRIX_DEVICES } from '../../helpers/fragment-products.ts';

const rowsOf = ({ type }: Node): number => type.shape[1];

/** What is done to a product [2, rows, 16]. */
const PARTS: Record<string, (f: Functional, product: Node, bias: Node) => Node> = {
  'rows without the first and the last': (f, y, bias) => f.add(f.slice(y, [0, 1, 0], [2, rowsOf(y) - 2, 16]), bias),
  'columns from the second on, a result': (f, y) => f.slice(y, [0, 0, 1], [2, rowsOf(y), 13]),
  'a box, turned, and a part of that': (f, y) => {
    const box = f.permute(f.slice(f.reshape(y, [2, rowsOf(y), 4, 4]), [1, 1, 1, 0], [1, 2, 3, 4]), [0, 2, 3, 1]);
    return f.mul(f.slice(box, [0, 0, 1, 0], [1, 3, 3, 2]), 0.5);
  },
};

interface Case {
  readonly device: DeviceSpec;
  readonly rows: number;
  /** Whether columns of the right operand lie along the depth. */
  readonly isAlong?: boolean;
}

const units = MATRIX_DEVICES.find(({ subgroupMatrix }) => subgroupMatrix![0].componentType === 'f32')!;

/** Each family, and what it computes. */
const CASES: Record<string, Case> = {
  'product-columns': { device: HARDWARE, rows: 3 },
  'product-dot': { device: PORTABLE, rows: 3 },
  'product-dot-subgroup': { device: GPU, rows: 3, isAlong: true },
  'product-fragments': { device: units, rows: 34 },
  'product-simple': { device: PORTABLE, rows: 3 },
  'product-subgroup': { device: bySubgroups(8), rows: 34 },
  'product-tiled': { device: PORTABLE, rows: 34 },
  'product-tiled-vec4': { device: HARDWARE, rows: 34 },
};

it('all families of products are tried', () => {
  const products = FAMILIES.filter(({ computes }) => computes.includes('product'));
  expect(products.map(({ name }) => name).sort()).toEqual(Object.keys(CASES));
});

describe.each(Object.entries(CASES))('%s', (family, { device, rows, isAlong }) => {
  it.each(Object.entries(PARTS))('stores %s', (_, part) => {
    const graph = graphOf((f, input) => {
      const depth = isAlong ? 128 : 24;
      const w = isAlong ? f.transpose(input('w', [2, 16, depth])) : input('w', [2, depth, 16]);
      return [part(f, f.matmul(input('x', [2, rows, depth]), w), input('bias', [16]))];
    });
    const [{ region, plan: own }] = schedule(graph, { device, passes: [] }).regions;
    const plan = candidatesFor(region, device, own).find((candidate) => candidate.family === family);
    expect(plan, `a plan of ${family}`).toBeDefined();
    const target = { name: device.name, device, passes: [], plan: () => plan };
    expect(check({ graph, bindings: drawBindings(graph) }, { target })).toHaveProperty('kernels', 1);
  });
});
