/** Graphs whose kernels ask something of their plans: each with a device that compiles it. */
import { gradients } from '../../../compiler/autodiff/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { normsInPieces } from '../../../compiler/fusion/pieces.ts';
import type { Graph } from '../../../compiler/ir/index.ts';
import type { CompileOptions } from '../../../compiler/pipeline.ts';
import { canonicalise } from '../../../compiler/rewrite/simplify.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { bySubgroups, GPU } from '../../helpers/devices.ts';
import { MATRIX_DEVICES } from '../../helpers/fragment-products.ts';
import { normedLayers } from '../../helpers/norm-graph.ts';

export interface Case {
  readonly name: string;
  readonly graph: Graph;
  readonly options: CompileOptions;
  /** Inputs whose last element is infinite: what a plan pads lies beside it. */
  readonly infinite: readonly string[];
}

/** A product with a bias and a residual. */
const linear = (m: number, n: number, k: number) =>
  graphOf((f, input) => {
    const product = f.matmul(input('x', [m, k]), f.transpose(input('w', [n, k])));
    return [f.add(f.mul(f.add(product, input('bias', [n])), 0.5), input('r', [m, n]))];
  });

/** A product of normalised rows; others read these too, where told. */
const normed = (m: number, n: number, k: number, isShared: boolean) =>
  graphOf((f, input) => {
    const x = input('x', [m, k]);
    const centred = f.sub(x, f.mean(x, [1]));
    const rows = f.mul(centred, f.rsqrt(f.add(f.mean(f.square(centred), [1]), 1e-3)));
    const product = f.matmul(rows, input('w', [k, n]));
    return isShared ? [product, rows] : [product];
  });

/** The derivatives of a linear layer by its weight and bias. */
const derivatives = (k: number, m: number, n: number) =>
  graphOf((f, input) => {
    const d = input('d', [k, m]);
    return [f.matmul(f.transpose(d), input('x', [k, n])), f.sum(d, [0])];
  });

const attended = (isDerived: boolean, m = 11, n = 13) =>
  graphOf((f, input) => {
    const [q, k, v] = [input('q', [2, m, 12]), input('k', [2, n, 12]), input('v', [2, n, 20])];
    const out = f.op('attention', [q, k, v], { scale: 0.4 });
    const loss = () => f.sum(f.mul(out, input('dy', [2, m, 20])), [0, 1, 2]);
    return [out, ...(isDerived ? gradients(f, loss(), [q, k, v]) : [])];
  });

const pointwise = () => graphOf((f, input) => [f.exp(f.add(input('x', [9, 7]), input('y', [7])))]);

/** Running sums of what is made element by element, and of whole numbers. */
const sums = () =>
  graphOf((f, input) => {
    const x = input('x', [5, 9, 4]);
    return [f.mul(f.op('scan', [f.exp(x)], { axis: 1 }), 2)];
  });

const rows = (shape: readonly number[], axis: number) =>
  graphOf((f, input) => {
    const x = input('x', shape);
    return [f.mul(f.exp(f.sub(x, f.op('reduce_max', [x], { axes: [axis] }))), 0.5)];
  });

const software = (lanes: number): DeviceSpec => ({ ...bySubgroups(lanes), cacheBytes: 0 });

/** A device with subgroups of one size that is no software. */
const subgroups = (lanes: number): DeviceSpec => ({ ...software(lanes), kind: 'hardware', name: `GPU of ${lanes}` });

/** Whose matrix units multiply f32. */
const UNITS = MATRIX_DEVICES.find(({ subgroupMatrix }) => subgroupMatrix![0].componentType === 'f32')!;

/** Of small workgroups, and so of small tiles. */
const SMALL: DeviceSpec = {
  ...PORTABLE,
  name: 'small workgroups',
  limits: { ...PORTABLE.limits, maxComputeInvocationsPerWorkgroup: 64 },
};

const PIECES: Partial<CompileOptions> = {
  passes: [
    { name: 'pieces', doc: '', run: normsInPieces },
    { name: 'settle', doc: '', run: canonicalise },
  ],
};

const group = (name: string, graph: Graph, device = PORTABLE, options: Partial<CompileOptions> = {}): Case => ({
  name: `${name} on ${device.name}`,
  graph,
  options: { device, verify: true, ...options },
  infinite: graph.inputs.map((node) => String(node.attrs.name)).filter((input) => ['x', 'w', 'd', 'v'].includes(input)),
});

/** The same of finite numbers: where every result depends on every input. */
const finite = (one: Case): Case => ({ ...one, infinite: [] });

const PLAIN = { passes: [] };

export const CASES: readonly Case[] = [
  group('few rows', linear(3, 9, 64), PORTABLE, PLAIN),
  group('few rows', linear(3, 9, 64), GPU, PLAIN),
  group('whole vectors', linear(32, 16, 64), subgroups(8), PLAIN),
  group('parts of fragments', linear(33, 18, 12), UNITS, PLAIN),
  group('row sums', derivatives(20, 17, 12), UNITS, PLAIN),
  group('parts of tiles', linear(33, 18, 12), PORTABLE, PLAIN),
  group('parts of tiles', linear(33, 18, 12), software(4), PLAIN),
  group('normalised rows', normed(18, 20, 24, false), subgroups(4), PLAIN),
  group('rows that others read', normed(34, 40, 24, true), PORTABLE, PLAIN),
  group('row sums', derivatives(20, 17, 12), subgroups(8), PLAIN),
  finite(
    group(
      'partial statistics',
      graphOf((f, input) => normedLayers(f, input, { channels: 32, groups: 2, places: 32 })),
      SMALL,
      PIECES,
    ),
  ),
  group('attention', attended(false), software(8)),
  group('attention and its derivatives', attended(true), UNITS),
  group('attention of many', attended(false, 18, 40), GPU),
  group('attention of many and its derivatives', attended(true, 18, 40), GPU),
  group('attention and its derivatives', attended(true), software(8)),
  group('elements', pointwise(), PORTABLE, PLAIN),
  group(
    'elements that are read turned',
    graphOf((f, input) => [f.exp(f.transpose(input('x', [20, 12])))]),
    GPU,
    PLAIN,
  ),
  group(
    'elements by fours',
    graphOf((f, input) => [f.exp(f.add(input('x', [9, 8]), input('y', [8])))]),
    GPU,
  ),
  group('running sums', sums(), PORTABLE, PLAIN),
  group('long rows', rows([5, 70], 1), software(8), PLAIN),
  group('short rows', rows([9, 5], 1), PORTABLE, PLAIN),
  group('columns', rows([6, 70], 0), subgroups(8), PLAIN),
  group('long rows', rows([5, 70], 1), GPU, PLAIN),
  finite(
    group(
      'rows of whole numbers',
      graphOf((f, input) => [f.sum(f.op('cast', [f.mul(input('x', [5, 136]), 9)], { dtype: 'i32' }), [1])]),
      GPU,
      PLAIN,
    ),
  ),
  group('rows of vectors', rows([5, 136], 1), GPU, PLAIN),
  group('columns by fours', rows([6, 72], 0), GPU, PLAIN),
];
