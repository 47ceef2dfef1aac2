/** Products for matrix units: every kind of fragment that devices have, every layout of the operands, edges of every axis. */
import { PORTABLE, type DeviceSpec, type SubgroupMatrixShape } from '../../compiler/device.ts';
import type { DType, Graph, Node } from '../../compiler/ir/index.ts';
import type { Functional } from '../../compiler/ops/index.ts';
import { graphOf, type Input } from './build-graph.ts';

const shapeOf = (of: string, M: number, N: number, K: number): SubgroupMatrixShape => ({
  ...{ componentType: of, resultComponentType: 'f32' },
  ...{ M, N, K },
});

const UNITS = [
  ['f16', 16, 16, 16, 32, 64],
  ['f16', 8, 16, 16, 16, 32],
  ['f16', 8, 8, 8, 8, 8],
  ['f32', 8, 8, 8, 32, 32],
] as const;

/** GPUs with one kind of matrix units each. */
export const MATRIX_DEVICES: readonly DeviceSpec[] = UNITS.map(([of, m, n, k, min, max]) => ({
  ...PORTABLE,
  name: `${m}×${n}×${k} ${of}→f32, subgroups of ${min}`,
  features: ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroup-size-control', 'subgroups'],
  subgroups: { min, max },
  subgroupMatrix: [shapeOf(of, m, n, k)],
  limits: { ...PORTABLE.limits, maxComputeWorkgroupStorageSize: 32768 },
}));

/** A matrix of a batch as the product multiplies it, or its transpose looked at so. */
function operand(
  f: Functional,
  input: Input,
  name: string,
  shape: readonly number[],
  dtype: DType,
  turned: boolean,
): Node {
  const lies = turned ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
  const given = input(name, lies);
  const held = dtype === 'f16' ? f.op('cast', [given], { dtype }) : given;
  return turned ? f.transpose(held) : held;
}

export const LAYOUTS = [
  ['x·Wᵀ', false, true],
  ['d·W', false, false],
  ['dᵀ·x', true, false],
  ['dᵀ·Wᵀ', true, true],
] as const;

export interface Sizes {
  readonly batch?: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** x·y of operands of a type, with sums of f32. */
export const productGraph = (
  { batch = [], m, n, k }: Sizes,
  dtype: DType,
  [left, right]: readonly [boolean, boolean] = [false, true],
  after: (f: Functional, product: Node, input: Input) => Node = (_, product) => product,
): Graph =>
  graphOf((f, input) => {
    const x = operand(f, input, 'x', [...batch, m, k], dtype, left);
    const y = operand(f, input, 'y', [...batch, k, n], dtype, right);
    return [after(f, f.op('matmul', [x, y], dtype === 'f16' ? { dtype: 'f32' } : undefined), input)];
  });
