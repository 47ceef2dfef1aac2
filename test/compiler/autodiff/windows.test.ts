/** Gradients through windows that a product contracts: right, and with nothing made that is the size of the windows. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { GraphBuilder, nodesOf, sizeOf, type Node } from '../../../compiler/ir/index.ts';
import { Functional, opTable, Random } from '../../../compiler/ops/index.ts';
import { checkGradient } from '../../helpers/gradient-check.ts';
import { drawValues } from '../../helpers/samples.ts';

interface Convolution {
  readonly size: readonly [number, number];
  readonly step?: number;
  readonly dilation?: number;
  readonly after?: number;
  readonly groups?: number;
  /** Channels of what is convolved and of what comes out, in each group. */
  readonly each?: readonly [number, number];
}

const [N, C, H, W, OUT] = [2, 3, 9, 7, 4];

/** [N,C,H,W] → [N,OUT,H',W'], in the usual order: channels and elements contracted, places last; all groups' channels side by side. */
function convolve(
  f: Functional,
  x: Node,
  weight: Node,
  { size, step = 1, dilation = 1, after = 1, groups, each = [C, OUT] }: Convolution,
): Node {
  const padded = f.pad(x, [0, 0, 1, 1], [0, 0, after, after]);
  const windows = f.unfold(f.unfold(padded, 2, size[0], step, dilation), 3, size[1], step, dilation);
  const [, , h, w] = windows.type.shape;
  const depth = each[0] * size[0] * size[1];
  const lead = groups ? [groups] : [];
  const columns = f.reshape(f.permute(windows, [0, 1, 4, 5, 2, 3]), [N, ...lead, depth, h * w]);
  const product = f.matmul(f.reshape(weight, [...lead, each[1], depth]), columns);
  return f.reshape(product, [N, (groups ?? 1) * each[1], h, w]);
}

function setup(convolution: Convolution) {
  const f = new Functional(new GraphBuilder(opTable));
  const param = (name: string, shape: number[]) => f.op('param', [], { name, dtype: 'f32', shape });
  const { groups = 1, each = [C, OUT] } = convolution;
  const x = param('x', [N, groups * each[0], H, W]);
  const weight = param('weight', [groups * each[1], each[0], ...convolution.size]);
  return { f, x, weight, y: convolve(f, x, weight, convolution) };
}

/** Windows that reach over most of the plane: by the overlap of products, most of what is computed would lie outside. */
const wide: Convolution = { size: [6, 5], after: 0 };

const products = (node: Node) =>
  nodesOf({ name: 'g', inputs: [], outputs: [{ name: 'g', node }], updates: [] }).filter(({ op }) => op === 'matmul');

const shapes: readonly Convolution[] = [
  { size: [3, 3] },
  { size: [1, 1] },
  { size: [2, 3], after: 0 },
  { size: [3, 2], dilation: 2, after: 2 },
  { size: [3, 3], step: 2, after: 0 },
  { size: [2, 2], step: 3, dilation: 2 },
  { size: [2, 2], step: 2 },
  { size: [4, 3], step: 3 },
  { size: [3, 3], groups: 5, each: [1, 1] },
  { size: [3, 2], groups: 3, each: [2, 1], dilation: 2 },
  { size: [2, 3], groups: 2, each: [1, 3] },
  { size: [3, 3], groups: 2, each: [3, 2], step: 2 },
  wide,
];

/** Those whose windows overlap, are not nearly as wide as the plane, and not strided and dilated both. */
const narrow = shapes.filter((one) => {
  const { size, step = 1, dilation = 1 } = one;
  return Math.min(...size) > step && one !== wide && (step === 1 || dilation === 1);
});

describe('the gradient of a convolution', () => {
  it.each(shapes)(
    'of $size, step $step, dilation $dilation, groups $groups equals finite differences',
    (convolution) => {
      const { f, x, weight, y } = setup(convolution);
      const random = new Random(7);
      const bindings = Object.fromEntries(
        [x, weight].map((p) => [String(p.attrs.name), drawValues(random, p.type, [-1, 1])]),
      );
      checkGradient(f, y, [x, weight], bindings, random);
    },
  );

  it.each(narrow)('of $size, step $step, dilation $dilation, groups $groups makes no columns', (convolution) => {
    const { size, each = [C, OUT] } = convolution;
    const { f, x, y } = setup(convolution);
    const loss = f.reshape(f.sum(y, [0, 1, 2, 3]), []);
    const [dx] = gradients(f, loss, [x]);
    const columns = (sizeOf(y.type.shape) / each[1]) * each[0] * size[0] * size[1];
    const largest = Math.max(...products(dx).map(({ type }) => sizeOf(type.shape)));
    expect(products(dx).length).toBeGreaterThan(0);
    expect(largest).toBeLessThan(columns);
  });

  it('of windows as wide as the plane computes nothing beside it', () => {
    const { f, x, y } = setup(wide);
    const [dx] = gradients(f, f.reshape(f.sum(y, [0, 1, 2, 3]), []), [x]);
    expect(products(dx).map(({ type }) => type.shape)).toEqual([[N, C * 6 * 5, y.type.shape[2] * y.type.shape[3]]]);
  });

  it('of windows that something else reads too is right', () => {
    const { f, x, weight } = setup({ size: [3, 3] });
    const windows = f.unfold(x, 3, 3);
    const flat = f.reshape(f.permute(windows, [0, 1, 4, 2, 3]), [N, C * 3, H * (W - 2)]);
    const y = f.matmul(f.reshape(weight, [12, 9]), flat);
    const random = new Random(9);
    const bindings = Object.fromEntries(
      [x, weight].map((p) => [String(p.attrs.name), drawValues(random, p.type, [-1, 1])]),
    );
    checkGradient(f, f.add(f.sum(y, [1]), f.sum(f.square(flat), [1])), [x, weight], bindings, random);
  });

  it('of products whose columns are not places, or whose rows are not elements, is right', () => {
    const f = new Functional(new GraphBuilder(opTable));
    const x = f.op('param', [], { name: 'x', dtype: 'f32', shape: [5, 8] });
    const weight = f.op('param', [], { name: 'weight', dtype: 'f32', shape: [3, 6] });
    // [5,6,3]: places contracted, elements among the columns.
    const windows = f.unfold(x, 1, 3);
    const y = f.matmul(weight, f.reshape(f.permute(windows, [1, 0, 2]), [6, 15]));
    const z = f.matmul(f.reshape(windows, [30, 3]), f.permute(f.slice(weight, [0, 0], [3, 3]), [1, 0]));
    const random = new Random(11);
    const bindings = Object.fromEntries(
      [x, weight].map((p) => [String(p.attrs.name), drawValues(random, p.type, [-1, 1])]),
    );
    checkGradient(f, f.concat([f.reshape(y, [45]), f.reshape(z, [90])], 0), [x, weight], bindings, random);
  });
});
