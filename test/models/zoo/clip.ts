/** Two towers: CLIP, Radford et al. 2021. logits = scale · a·bᵀ of normalised embeddings. */
import { concat, defineModel, exp, fixed, normal, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';
import { affineNorm, encoderBlock } from './vit.ts';

export const clipConfig = { patches: 12, inputs: 27, words: 9, vocabulary: 40, d: 32, heads: 2, depth: 1, joint: 20 };

const unit = (x: Tensor) => x.div(x.square().sum(-1, { keepDims: true }).sqrt());

function tower(p: Scope, x: Tensor, cfg: typeof clipConfig): Tensor {
  for (let i = 0; i < cfg.depth; i++) x = encoderBlock(p.at('blocks', i), x, cfg.heads);
  const last = affineNorm(p.at('norm'), x.slice(1, -1).squeeze(1));
  return unit(p.linear('project', last, cfg.joint, { bias: false }));
}

export const clip = (config: Partial<typeof clipConfig> = {}) => {
  const cfg = { ...clipConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const [see, read] = [e.params.at('visual'), e.params.at('text')];
        const patches = see.linear('embed', e.input('patches', [e.batch, cfg.patches, cfg.inputs]), cfg.d);
        const words = read.param('embed.weight', [cfg.vocabulary, cfg.d], normal(0.02));
        const text = words.gather(e.input('words', [e.batch, cfg.words], 'i32'));
        const scale = exp(e.params.param('logit_scale', [], fixed(Float32Array.of(Math.log(1 / 0.07)))));
        const a = tower(see, concat([patches, patches.mean(1, { keepDims: true })], 1), cfg);
        const b = tower(read, text, cfg);
        return { logits: a.matmul(b.transpose()).mul(scale) };
      },
    },
  });
};
