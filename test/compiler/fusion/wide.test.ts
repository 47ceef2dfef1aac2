/** Ops of more values than a kernel binds: every device computes what the interpreter does, and so it does the derivatives. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, type Graph, type Node, type Shape } from '../../../compiler/ir/index.ts';
import { Functional, opTable, Random } from '../../../compiler/ops/index.ts';
import { drawValues } from '../../helpers/samples.ts';
import { check } from '../../fuzz/check.ts';
import type { Case } from '../../fuzz/cases.ts';
import { TARGETS } from '../../fuzz/devices.ts';

/** Makes leaves, each of a shape. */
type Leaf = (shape: Shape, op?: 'input' | 'param') => Node;
type Wide = (f: Functional, leaf: Leaf, count: number) => Node;

const several = (count: number, make: (i: number) => Node): Node[] => Array.from({ length: count }, (_, i) => make(i));
const turned = (f: Functional, leaf: Leaf, count: number) => several(count, () => f.transpose(leaf([4, 2], 'param')));
const added = (f: Functional, values: readonly Node[]) => values.reduce((sum, x) => f.add(sum, x));

const WIDE: Readonly<Record<string, Wide>> = {
  'inputs one below the other': (f, leaf, n) =>
    f.concat(
      several(n, () => leaf([16, 4])),
      0,
    ),
  'inputs one below the other, unaligned': (f, leaf, n) =>
    f.concat(
      several(n, (i) => leaf([1 + (i % 3), 5])),
      0,
    ),
  'inputs and parameters one below the other': (f, leaf, n) =>
    f.concat(
      several(n, (i) => leaf([2, 5], i % 9 < 7 ? 'param' : 'input')),
      0,
    ),
  'inputs side by side': (f, leaf, n) =>
    f.concat(
      several(n, (i) => leaf([3, 1 + (i % 2)])),
      1,
    ),
  'turned parameters': (f, leaf, n) => f.concat(turned(f, leaf, n), 1),
  'turned parameters one below the other': (f, leaf, n) => f.concat(turned(f, leaf, n), 0),
  'sums of inputs side by side': (f, leaf, n) =>
    f.concat(
      several(n, () => added(f, [leaf([3, 2]), f.unary('sin', leaf([3, 1])), leaf([1, 2])])),
      1,
    ),
  'products side by side': (f, leaf, n) => {
    const x = leaf([3, 4]);
    return f.concat(
      several(n, () => f.matmul(x, leaf([4, 2]))),
      1,
    );
  },
  'products by parameters side by side': (f, leaf, n) => {
    const x = leaf([3, 4]);
    return f.concat(
      several(n, () => f.matmul(x, leaf([4, 2], 'param'))),
      1,
    );
  },
  'norms one below the other': (f, leaf, n) =>
    f.concat(
      several(n, () => f.op('softmax', [leaf([3, 5])])),
      0,
    ),
  'a sum': (f, leaf, n) =>
    added(
      f,
      several(n, () => leaf([3, 5])),
    ),
  'a chain of choices': (f, leaf, n) =>
    several(n, () => leaf([3, 5])).reduce((x, y) => f.select(f.compare('lt', x, y), f.mul(x, y), leaf([3, 1]))),
  'softmax of values side by side': (f, leaf, n) => f.op('softmax', [f.concat(turned(f, leaf, n), 1)]),
  'the sum over values side by side': (f, leaf, n) => f.sum(f.concat(turned(f, leaf, n), 1), [1]),
  'a product of values side by side along its depth': (f, leaf, n) =>
    f.matmul(
      f.concat(turned(f, leaf, n), 1),
      f.concat(
        several(n, () => leaf([4, 3])),
        0,
      ),
    ),
  'a product with all that follows it': (f, leaf, n) =>
    added(f, [f.matmul(leaf([3, 4]), leaf([4, 5])), ...several(n, () => leaf([3, 5]))]),
};

const FORMS: Readonly<
  Record<string, (f: Functional, y: Node, leaves: readonly Node[], leaf: Leaf) => Graph['outputs']>
> = {
  returned: (_f, node) => [{ name: 'out', node }],
  'read by a product': (f, y, _, leaf) => [{ name: 'out', node: f.matmul(leaf([2, y.type.shape[0]]), y) }],
  'its parts returned too': (f, y, leaves) => [
    { name: 'out', node: y },
    ...leaves.slice(0, 12).map((leaf, i) => ({ name: `part${i}`, node: f.mul(leaf, 2) })),
  ],
  derived: (f, y, leaves) => {
    const loss = f.reshape(f.sum(f.unary('sin', y), [0, 1]), []);
    return leaves.slice(0, 12).map((leaf, i) => ({ name: `slope${i}`, node: f.op('gradient', [loss, leaf]) }));
  },
};

function wideCase(make: Wide, form: keyof typeof FORMS, count: number): Case {
  const f = new Functional(new GraphBuilder(opTable));
  const random = new Random(count);
  const leaves: Node[] = [];
  const leaf: Leaf = (shape, op = 'input') => {
    leaves.push(f.op(op, [], { name: `${op}${leaves.length}`, dtype: 'f32', shape }));
    return leaves.at(-1)!;
  };
  const outputs = FORMS[form](f, make(f, leaf, count), leaves, leaf);
  const inputs = leaves.filter(({ op }) => op === 'input');
  const bindings = Object.fromEntries(leaves.map(({ attrs, type }) => [String(attrs.name), drawValues(random, type)]));
  return { graph: { name: 'wide', inputs, outputs, updates: [] }, bindings };
}

const OTHERS = ['16 buffers', 'lavapipe', 'rdna3', 'one result a kernel', 'bindings of 4 KiB'];
const targetOf = (name: string) => TARGETS.find((target) => target.name === name)!;

/** Counts, and the device of each: one that binds eight buffers, and others in turn. */
const trials = (i: number): [count: number, device: string][] => [
  [9, 'portable'],
  [24, OTHERS[i % OTHERS.length]],
];

describe.each(Object.entries(WIDE).map(([name, make], i) => ({ name, make, i })))('$name', ({ make, i }) => {
  it.each(Object.keys(FORMS).map((form, j) => ({ form, trial: trials(i + j) })))('$form', ({ form, trial }) => {
    for (const [count, device] of trial) {
      const verdict = check(wideCase(make, form, count), { target: targetOf(device) });
      expect(verdict, `${count} for ${device}`).toHaveProperty('kernels');
    }
  });

  it('a hundred', () => {
    expect(check(wideCase(make, 'returned', 100), { target: targetOf('portable') })).toHaveProperty('kernels');
  });
});
