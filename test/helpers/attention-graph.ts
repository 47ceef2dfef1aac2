/** Attention of any sizes, alone or with its derivatives, and values for it. */
import { gradients } from '../../compiler/autodiff/index.ts';
import type { DType, Graph } from '../../compiler/ir/index.ts';
import { Random } from '../../compiler/ops/index.ts';
import { graphOf } from './build-graph.ts';
import { drawValues } from './samples.ts';

export interface AttentionCase {
  /** Batch axes of the queries, and of keys and values where these are shared. */
  readonly batch?: readonly number[];
  readonly shared?: readonly number[];
  /** Queries, keys, width of a key, width of a value (as of a key unless told). */
  readonly m: number;
  readonly n: number;
  readonly d: number;
  readonly e?: number;
  readonly cap?: number;
  readonly masked?: boolean;
  readonly biased?: boolean;
  readonly dtype?: DType;
  /** What it is derived by, where it is: all operands unless told. */
  readonly by?: readonly ('q' | 'k' | 'v' | 'bias')[];
}

/** Outputs are named as the operands that they are the derivatives by, the result `result`. */
export function attentionOf(
  { batch = [2], shared = batch, m, n, d, e = d, cap, masked, biased, dtype = 'f32', by }: AttentionCase,
  isDerived: boolean,
): Graph {
  const variables = by ?? (['q', 'k', 'v', ...(biased ? (['bias'] as const) : [])] as const);
  const name = ['result', ...(isDerived ? variables : [])];
  const graph = graphOf((f, input) => {
    const operand = (of: string, shape: readonly number[]) => f.cast(input(of, shape), dtype);
    const [q, k, v] = [
      operand('q', [...batch, m, d]),
      operand('k', [...shared, n, d]),
      operand('v', [...shared, n, e]),
    ];
    const bias = biased ? [input('bias', [m, n])] : [];
    // Every query sees a key, the last ones not all of them.
    const mask = masked
      ? [f.compare('lt', f.mul(f.iota('i32', [m, n], 1), 2), f.add(f.iota('i32', [m, n], 0), n))]
      : [];
    const attrs = {
      scale: d ** -0.5,
      ...(cap !== undefined && { cap }),
      ...(masked && { fill: -1e9 }),
      ...(dtype === 'f16' && { dtype: 'f32' }),
    };
    const out = f.op('attention', [q, k, v, ...bias, ...mask], attrs);
    if (!isDerived) return [out];
    const loss = f.sum(
      f.mul(out, input('dy', out.type.shape)),
      out.type.shape.map((_, axis) => axis),
    );
    const operands = { q, k, v, bias: bias[0] };
    return [
      out,
      ...gradients(
        f,
        loss,
        variables.map((one) => operands[one]),
      ),
    ];
  });
  return { ...graph, outputs: graph.outputs.map((output, i) => ({ ...output, name: name[i] })) };
}

export function drawnFor(graph: Graph, seed = 3): Record<string, Float64Array> {
  const random = new Random(seed);
  return Object.fromEntries(graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]));
}
