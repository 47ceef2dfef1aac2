/** A model whose blocks take all they know of a condition from linears of one value: what merges where it is trained too. */
import { layerNorm, silu, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { optimize, optimizerOptions, type OptimizerOptions } from '../../models/optimizer.ts';

const [BATCH, TOKENS] = [8, 6];

/** Pieces of this width start where bindings may. */
const WIDTH = 64;

/** As many blocks, each with a shift, a scale, a gate and a second shift from its own linear of the condition. */
export function gated(e: Entry, blocks: number, width = WIDTH): Tensor {
  const condition = silu(e.params.linear('embed', e.input('c', [BATCH, width]), width));
  let x = e.input('x', [BATCH, TOKENS, width]);
  for (let i = 0; i < blocks; i++) {
    const parts = e.params.linear(`m${i}`, condition, 4 * width).unsqueeze(1);
    const [shift, scale, gate, late] = [0, 1, 2, 3].map((k) => parts.slice(-1, k * width, (k + 1) * width));
    x = x.add(layerNorm(x).mul(scale.add(1)).add(shift).mul(gate)).add(late);
  }
  return x;
}

/** A step of training of it. */
export function gatedStep(
  e: Entry,
  blocks: number,
  options: Partial<OptimizerOptions> = {},
  width = WIDTH,
): Record<string, Tensor> {
  const loss = gated(e, blocks, width).square().mean();
  const { batch, dtype } = e.options;
  return { loss, ...optimize(e, optimizerOptions({ batch, dtype, lr: 0.01, weightDecay: 0.1, ...options }), loss) };
}
