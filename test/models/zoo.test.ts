/**
 * Models that the compiler was not written for (zoo/): each comes out right, and nearly as well fused as by hand. `byHand` is
 * what an expert would launch per block on a device with workgroup memory and no subgroups: products take what is pointwise
 * before and after them, and the statistics of their own rows; attention is one kernel with its mask, bias and positions.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../compiler/dsl/model.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { dispatchesOf, errorOf } from './zoo.ts';
import { autoencoder } from './zoo/autoencoder.ts';
import { clip } from './zoo/clip.ts';
import { convnet } from './zoo/convnet.ts';
import { convnext } from './zoo/convnext.ts';
import { gmlp } from './zoo/gmlp.ts';
import { gpt } from './zoo/gpt.ts';
import { hyena } from './zoo/hyena.ts';
import { linearAttention } from './zoo/linear-attention.ts';
import { llama } from './zoo/llama.ts';
import { mamba } from './zoo/mamba.ts';
import { maskedDit } from './zoo/masked-dit.ts';
import { mixer } from './zoo/mixer.ts';
import { mixture } from './zoo/mixture.ts';
import { mmdit } from './zoo/mmdit.ts';
import { parallel } from './zoo/parallel.ts';
import { perceiver } from './zoo/perceiver.ts';
import { pixart } from './zoo/pixart.ts';
import { recurrent } from './zoo/recurrent.ts';
import { rotaryDit } from './zoo/rotary-dit.ts';
import { sana } from './zoo/sana.ts';
import { seq2seq } from './zoo/seq2seq.ts';
import { singleStream } from './zoo/single-stream.ts';
import { ssd } from './zoo/ssd.ts';
import { swin } from './zoo/swin.ts';
import { thresholding } from './zoo/thresholding.ts';
import { unet } from './zoo/unet.ts';
import { vit } from './zoo/vit.ts';
import { WAYS, writtenOut } from './zoo/written-out.ts';
import { PASS } from '../helpers/tolerances.ts';

/** Kernels that a block may have beyond the expert's, unless told. */
const ALLOWANCE = 1;

interface Case {
  readonly model: Model;
  readonly entry?: string;
  readonly batch?: number;
  /** Expert's kernels: of one block, where the second of `depths` has `blocks` (1 unless told) more; of all without it. */
  readonly byHand: number;
  readonly why: string;
  /** Kernels that a block may have beyond the expert's, where not `ALLOWANCE`. */
  readonly allowance?: number;
  readonly depths?: readonly [Model, Model];
  readonly blocks?: number;
}

const CASES: Record<string, Case> = {
  vit: {
    model: vit(),
    depths: [vit(), vit({ depth: 3 })],
    byHand: 5,
    why: 'norm+qkv, attention, out+residual, norm+fc1+gelu, fc2+residual',
  },
  mixer: {
    model: mixer(),
    depths: [mixer(), mixer({ depth: 3 })],
    batch: 13,
    byHand: 5,
    why: 'norm (over the axis that the next product does not sum), fc1+gelu, fc2+residual, norm+fc1+gelu, fc2+residual',
  },
  'U-Net block': {
    model: unet(),
    byHand: 6,
    why: 'silu+time, norm+silu, conv+shift, norm+silu, shortcut, conv+residual; a shortcut inside the last needs a second sum',
  },
  'U-Net attention': {
    model: unet(),
    entry: 'attention',
    byHand: 5,
    why: 'statistics of the groups, norm, qkv, attention, proj+residual',
  },
  'gpt, causal by a choice': {
    model: gpt(),
    // Tables of sines and cosines are kernels of their own, once three blocks share them.
    depths: [gpt({ depth: 3 }), gpt({ depth: 4 })],
    byHand: 5,
    why: 'norm+qkv, attention with rotation and mask by index, proj+residual, norm+fc1+gelu, fc2+residual',
  },
  'gpt, causal by a bias': {
    model: gpt({ mask: 'bias' }),
    depths: [gpt({ mask: 'bias', depth: 3 }), gpt({ mask: 'bias', depth: 4 })],
    byHand: 5,
    why: 'the same',
  },
  'gpt, nearer by distance': {
    model: gpt({ mask: 'masked distance' }),
    depths: [gpt({ mask: 'masked distance', depth: 3 }), gpt({ mask: 'masked distance', depth: 4 })],
    byHand: 5,
    why: 'the same',
  },
  'gpt loss': {
    model: gpt(),
    entry: 'loss',
    byHand: 13,
    why: '5 for each of 2 blocks, norm+logits, log-softmax of each row, mean',
  },
  'clip, two towers': {
    model: clip(),
    depths: [clip(), clip({ depth: 2 })],
    blocks: 2,
    byHand: 5,
    why: 'an encoder block as in vit, in each tower',
  },
  'llama, keys repeated': {
    model: llama(),
    depths: [llama({ depth: 3 }), llama({ depth: 4 })],
    byHand: 5,
    why: 'norm+qkv of three widths, attention, wo+residual, norm+w1w3, silu·gate+w2+residual',
  },
  'llama, keys shared by broadcasting': {
    model: llama({ repeat: false }),
    depths: [llama({ repeat: false, depth: 3 }), llama({ repeat: false, depth: 4 })],
    byHand: 5,
    why: 'the same',
  },
  'gemma, capped scores': {
    model: llama({ cap: 2 }),
    depths: [llama({ cap: 2, depth: 3 }), llama({ cap: 2, depth: 4 })],
    byHand: 5,
    why: 'as llama',
  },
  'gemma, a mask that chooses': {
    model: llama({ cap: 2, choice: true }),
    depths: [llama({ cap: 2, choice: true, depth: 3 }), llama({ cap: 2, choice: true, depth: 4 })],
    byHand: 5,
    why: 'as llama',
  },
  'resnet bottleneck': {
    model: convnet(),
    entry: 'bottleneck',
    byHand: 4,
    why: 'four convolutions, each with its norm, relu and, the last, the residual',
  },
  'inverted residual, squeeze and excite': {
    model: convnet(),
    entry: 'invertedResidual',
    byHand: 6,
    why: 'expand, depthwise, pool, squeeze, excite, gate+project+residual',
  },
  swin: {
    model: swin(),
    depths: [swin(), swin({ depth: 4 })],
    blocks: 2,
    byHand: 5,
    why: 'norm+roll+qkv, attention with bias and mask, proj+unroll+residual, norm+fc1+gelu, fc2+residual',
  },
  gmlp: {
    model: gmlp(),
    depths: [gmlp(), gmlp({ depth: 3 })],
    byHand: 4,
    why: 'norm+proj_in+gelu, norm over the axis the next product does not sum, spatial+gate, proj_out+residual',
  },
  'linear attention': {
    model: linearAttention(),
    byHand: 5,
    why: 'norm+qkv, state, sum of keys, mixed over its total, proj+residual',
  },
  'cross-attention with padding': {
    model: seq2seq(),
    byHand: 6,
    why: 'kv, norm+q, attention with mask, out+residual, fc1+relu, fc2+residual',
  },
  autoencoder: { model: autoencoder(), byHand: 4, why: 'four convolutions; upsampling and padding are how they read' },
  pixart: {
    model: pixart(),
    depths: [pixart(), pixart({ depth: 3 })],
    byHand: 8,
    why: 'norm+qkv, attention, proj+residual, q, cross-attention, proj+residual, norm+fc1, fc2+residual; kv of the text once',
  },
  'DiT with rotary positions and normalised queries and keys': {
    model: rotaryDit(),
    depths: [rotaryDit({ depth: 3 }), rotaryDit({ depth: 4 })],
    byHand: 5,
    why: 'norm+qkv, attention, proj+residual, norm+w1w3, silu·gate+w2+residual; norms of queries and keys by the first, if tiles hold heads',
  },
  'two streams that attend to each other, queries and keys normalised': {
    model: mmdit(),
    depths: [mmdit(), mmdit({ depth: 3 })],
    byHand: 9,
    why: 'norm+qkv of each, attention, and of each proj+residual, norm+fc1+gelu, fc2+residual; norms of queries and keys as above',
  },
  'two streams, heads that tiles hold': {
    model: mmdit({ d: 64 }),
    depths: [mmdit({ d: 64 }), mmdit({ d: 64, depth: 3 })],
    byHand: 9,
    why: 'the same',
    allowance: 0,
  },
  ...Object.fromEntries(
    WAYS.map((way) => [
      `softmax and norms written out, ${way}`,
      {
        model: writtenOut({ way }),
        depths: [writtenOut({ way }), writtenOut({ way, depth: 3 })] as const,
        byHand: 5,
        why: 'as vit',
      },
    ]),
  ),
  'mixture of experts': {
    model: mixture(),
    depths: [mixture(), mixture({ depth: 3 })],
    byHand: 5,
    why: 'norm, gate, softmax, w1+gelu, w2 over all experts+residual',
  },
  'mixture of the two best experts': {
    model: mixture({ top: true }),
    depths: [mixture({ top: true }), mixture({ top: true, depth: 3 })],
    byHand: 5,
    why: 'the same',
  },
  'mixture of gated experts': {
    model: mixture({ gated: true }),
    depths: [mixture({ gated: true }), mixture({ gated: true, depth: 3 })],
    byHand: 5,
    why: 'norm, gate, softmax, w1w3, silu·gate+w2 over all experts+residual',
  },
  'attention beside the MLP': {
    model: parallel(),
    depths: [parallel(), parallel({ depth: 3 })],
    byHand: 3,
    why: 'norm+qkv+fc1, attention, out+fc2+residual',
  },
  'gated attention beside the MLP': {
    model: parallel({ kind: 'gated' }),
    depths: [parallel({ kind: 'gated' }), parallel({ kind: 'gated', depth: 3 })],
    byHand: 3,
    why: 'norm+qkv+gate+fc1, attention+gate, out+fc2+residual',
  },
  'heads that talk': {
    model: parallel({ kind: 'talking' }),
    depths: [parallel({ kind: 'talking' }), parallel({ kind: 'talking', depth: 3 })],
    byHand: 7,
    why: 'norm+qkv, q·kᵀ, talk, softmax, talk, values, fc1+gelu, out+fc2+residual; the first two with fc1 in one',
  },
  'long skips': {
    model: parallel({ depth: 4, skips: true }),
    depths: [parallel({ depth: 4, skips: true }), parallel({ depth: 6, skips: true })],
    blocks: 2,
    byHand: 4,
    why: 'as without, and a linear of both in every second block',
  },
  'LSTM, three steps': { model: recurrent(), byHand: 4, why: 'gates of each step, all states' },
  'GRU, three steps': {
    model: recurrent({ cell: 'gru' }),
    byHand: 5,
    why: 'input and state apart, as the reset gate asks, the inputs of all steps at once: a product of the state for each, all states',
  },
  perceiver: {
    model: perceiver(),
    depths: [perceiver(), perceiver({ depth: 3 })],
    byHand: 11,
    why: 'norm+q, norm+kv, attention, out+residual, norm+fc1+gelu, fc2+residual; a block as in vit',
  },
  'ConvNeXt block': {
    model: convnext(),
    depths: [convnext(), convnext({ depth: 3 })],
    byHand: 3,
    why: 'depthwise, norm+pwconv1+gelu, pwconv2+scale+residual',
  },
  'one stream, queries and keys turned after their norms': {
    model: singleStream(),
    depths: [singleStream(), singleStream({ depth: 3 })],
    byHand: 4,
    why: 'norm+linear1+gelu, norms of queries and keys with their turns, attention, linear2+gate+residual',
  },
  'linear attention and a convolution in the MLP': {
    model: sana(),
    depths: [sana(), sana({ depth: 2 })],
    byHand: 8,
    why: 'norm+qkv, state, mixed, over its total+proj+residual, norm, inverted+silu, depthwise, gate+point+residual',
  },
  'state space duality': {
    model: ssd(),
    depths: [ssd(), ssd({ depth: 3 })],
    byHand: 6,
    why: 'norm+in_proj, convolution+silu, running sums, C·Bᵀ, decay·scores·values, norm+out_proj+residual',
  },
  mamba: {
    model: mamba({ depth: 2 }),
    depths: [mamba({ depth: 2 }), mamba({ depth: 3 })],
    byHand: 10,
    why: 'norm+in_proj, and both ways: convolution+silu, x_proj, dt_proj+softplus, states; both sums of states+gate+out_proj+residual',
  },
  'half of the tokens': {
    model: maskedDit(),
    depths: [maskedDit(), maskedDit({ depth: 2 })],
    byHand: 5,
    why: 'as vit; the chosen tokens are how the first of them reads',
  },
  'all tokens again': {
    model: maskedDit(),
    byHand: 15,
    why: 'embed, order in two, 5 for the encoder and, with mask tokens as read, 5 for the decoder, places, norm+to_decoder, norm+head',
  },
  hyena: {
    model: hyena(),
    depths: [hyena(), hyena({ depth: 3 })],
    byHand: 9,
    why: 'norm+in_proj, short convolution, filter in two, two long convolutions with their gates, out_proj+residual, norm+fc1+gelu, fc2+residual',
  },
  'guided step with a dynamic threshold': {
    model: thresholding(),
    byHand: 3,
    why: 'norm+fc1+silu, fc2, all that is over a picture',
  },
};

describe('kernels', () => {
  it.each(Object.entries(CASES))('%s: within one a block of an expert', (_name, { model, depths, ...expected }) => {
    const { batch, entry, byHand, blocks = 1, allowance = ALLOWANCE } = expected;
    const [before, after] = (depths ?? [model]).map((m) => dispatchesOf(m, batch, entry));
    const kernels = after ? after.length - before.length : before.length;
    expect(kernels, before.join('\n')).toBeLessThanOrEqual(blocks * (byHand + allowance));
    expect(kernels, 'fewer than the expert: count again').toBeGreaterThan(blocks * (byHand - 2));
  });
});

describe('results equal the interpreter', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  const more: Record<string, Case['model']> = {
    'swin, version 2': swin({ cosine: true }),
    'vit, 5×7 grid': vit({ height: 10, width: 14, depth: 1 }),
    'vit, head dim 72': vit({ d: 144, heads: 2, depth: 1 }),
    'vit, head dim 512': vit({ d: 512, heads: 1, depth: 1, height: 4, width: 6 }),
  };
  const named = Object.entries(CASES).map(([name, { model, entry, batch }]) => [name, model, entry, batch] as const);
  const others = Object.entries(more).map(([name, model]) => [name, model, undefined, undefined] as const);
  it.each([...named, ...others])('%s', { timeout: 600_000 }, async (_name, model, entry, batch = 2) => {
    expect(await errorOf(gpu, model, batch, entry)).toBeLessThan(PASS);
  });
});
