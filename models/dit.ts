/**
 * DiT, the diffusion transformer: Peebles & Xie 2023, "Scalable Diffusion Models with Transformers", written from the
 * paper's formulas. Parameter names and shapes are those of the released checkpoints.
 *
 * Letters in shapes: N batch, C channels, I side of the latent, p patch, T tokens (of G = I/p down and across), d hidden size, h heads.
 */
import {
  concat,
  constant,
  defineModel,
  fixed,
  gelu,
  linear,
  normal,
  silu,
  stack,
  xavierUniform,
  zeros,
  type Model,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { objectiveOf, samplingDefaults, samplingEntries } from './diffusion.ts';
import { blocks, modulate, modulation, norm, type Conditioning } from './dit-blocks.ts';
import { complete, gridOf, outChannels, type DiTConfig } from './dit-config.ts';
import { diffusersLayout } from './dit-diffusers.ts';
import { inversionEntries } from './inversion.ts';
import { conditionsOf, hasNothing, sidesOf, type Condition, type Conditions } from './guidance.ts';
import { positionTable, sinusoids } from './sinusoids.ts';
import { trainingEntries } from './training.ts';

export { blocks } from './dit-blocks.ts';
export { sizes, type DiTConfig } from './dit-config.ts';

/** Cuts x [N,C,I,I] into patches and embeds each: [N,T,d]. A patch is read channel by channel. Section 3.2, figure 4. */
function patchify(p: Scope, x: Tensor, cfg: DiTConfig): Tensor {
  const { patchSize, hiddenSize: d } = cfg;
  const [N, C] = x.shape;
  const [down, across] = gridOf(cfg);
  const length = C * patchSize ** 2;
  const patches = x
    .reshape(N, C, down, patchSize, across, patchSize)
    .permute(0, 2, 4, 1, 3, 5)
    .reshape(N, down * across, length);
  const weight = p.param('weight', [d, C, patchSize, patchSize], xavierUniform(length, d));
  return linear(patches, weight.reshape(d, length), p.param('bias', [d]));
}

/** Puts patches [N,T,p²·channels] (channel last inside a patch) back together: [N,channels,I,I]. */
function unpatchify(x: Tensor, cfg: DiTConfig): Tensor {
  const [N, channels, { patchSize }] = [x.shape[0], outChannels(cfg), cfg];
  const [down, across] = gridOf(cfg);
  const grid = x.reshape(N, down, across, patchSize, patchSize, channels).permute(0, 5, 1, 3, 2, 4);
  return grid.reshape(N, channels, down * patchSize, across * patchSize);
}

/** t_emb [N,d]: an MLP of the sinusoids. Paper appendix A. */
function embedTimestep(p: Scope, t: Tensor, { hiddenSize: d, numerics }: DiTConfig): Tensor {
  const waves = numerics === 'diffusers' ? sinusoids(t, 127) : sinusoids(t);
  const hidden = silu(p.linear('mlp.0', waves, d, { init: normal(0.02) }));
  return p.linear('mlp.2', hidden, d, { init: normal(0.02) });
}

/** y_emb [N,d]. The table's last row is the null class, when there is one. */
function embedLabel(p: Scope, y: Tensor, cfg: DiTConfig): Tensor {
  const last = cfg.classDropoutProb > 0 ? 1 : 0;
  const rows = cfg.numClasses + last;
  const resize = { kind: 'rows', last } as const;
  return p.param('embedding_table.weight', [rows, cfg.hiddenSize], normal(0.02), { resize }).gather(y);
}

/** A vector [N, width] in d dimensions, as the timestep is. */
function embedVector(p: Scope, x: Tensor, d: number): Tensor {
  const hidden = silu(p.linear('mlp.0', x, d, { init: normal(0.02) }));
  return p.linear('mlp.2', hidden, d, { init: normal(0.02) });
}

/** What the model is told besides x, t and labels. */
function conditions({ sequence, pooled, classDropoutProb }: DiTConfig): Condition[] {
  const dropped = classDropoutProb > 0;
  const list: Condition[] = [];
  if (sequence) {
    const { length, width } = sequence;
    const nothing = (p: Scope) => {
      const init = normal(width ** -0.5);
      return p.param('y_embedder.y_embedding', [length, width], init, { frozen: true }).unsqueeze(0);
    };
    list.push({ name: 'context', shape: [length, width], ...(dropped && { nothing }) });
    list.push({ name: 'contextMask', shape: [length], dtype: 'i32' });
  }
  const nothing = () => constant(0, [1, pooled!.width]);
  if (pooled) list.push({ name: 'pooled', shape: [pooled.width], ...(dropped && { nothing }) });
  return list;
}

/** What the blocks are told. */
function condition(p: Scope, t: Tensor, y: Tensor, given: Conditions, cfg: DiTConfig): Conditioning {
  const { hiddenSize: d, numClasses, sequence, pooled } = cfg;
  const vectors = [embedTimestep(p.at('t_embedder'), t, cfg)];
  if (numClasses) vectors.push(embedLabel(p.at('y_embedder'), y, cfg));
  if (pooled) vectors.push(embedVector(p.at('pooled_embedder'), given.pooled, d));
  const sum = vectors.reduce((a, b) => a.add(b));
  const c = silu(sum);
  const context = stack(vectors, 1);
  const project = (x: Tensor) => {
    const scope = p.at('y_embedder.y_proj');
    const init = normal(0.02);
    return scope.linear('fc2', gelu(scope.linear('fc1', x, d, { init })), d, { init });
  };
  const toBlocks = () => p.linear('t_block.1', c, 6 * d, { init: normal(0.02) }).reshape(t.shape[0], 6, d);
  return {
    c,
    context,
    ...(cfg.modulation === 'shared' && { shared: { blocks: toBlocks(), last: sum.unsqueeze(1) } }),
    ...(sequence && { sequence: { tokens: project(given.context), mask: given.contextMask.ne(0) } }),
  };
}

/** The last norm and the projection to patches, which starts at zero: so does the model's output. [N,T,p²·Cout]. */
function finalLayer(p: Scope, x: Tensor, on: Conditioning, cfg: DiTConfig): Tensor {
  let normed = norm(p, 'norm_final', x, cfg);
  if (cfg.block === 'adaLN' || cfg.block === 'adaLN-Zero') {
    const [shift, scale] = modulation(p, on, 2);
    normed = modulate(normed, shift, scale);
  }
  return p.linear('linear', normed, cfg.patchSize ** 2 * outChannels(cfg), { init: zeros });
}

/** The whole network: x [N,C,I,I], t [N] f32, y [N] i32 and `given` → [N,Cout,I,I], what is predicted first and then, if learned, v. */
export function denoise(p: Scope, x: Tensor, t: Tensor, y: Tensor, cfg: DiTConfig, given: Conditions = {}): Tensor {
  const { hiddenSize: d } = cfg;
  const grid = gridOf(cfg);
  const T = grid[0] * grid[1];
  const on = condition(p, t, y, given, cfg);
  const positions = p.param('pos_embed', [1, T, d], fixed(positionTable(d, grid)), {
    frozen: true,
    ...(grid[0] === grid[1] && { resize: { kind: 'grid' } }),
  });
  let tokens = patchify(p.at('x_embedder.proj'), x, cfg).add(positions);
  if (cfg.block === 'in-context') tokens = concat([tokens, on.context], 1);
  for (let i = 0; i < cfg.depth; i++) tokens = blocks[cfg.block](p.at('blocks', i), tokens, on, cfg);
  if (cfg.block === 'in-context') tokens = tokens.slice(1, 0, T);
  return unpatchify(finalLayer(p.at('final_layer'), tokens, on, cfg), cfg);
}

/**
 * A diffusion transformer; keys left out are DiT-XL/2's.
 *
 * Entries: `forward`(x [N,C,I,I], t [N] f32, y [N] i32) → out [N,Cout,I,I], and those of models/diffusion.ts and models/training.ts.
 * `y` where there are classes; all also take `context`, `contextMask` and `pooled` where the model is told these.
 * @throws DitcError `config` when the sizes do not fit together.
 */
export function dit(config: Partial<DiTConfig> = {}): Model {
  const cfg = complete(config);
  const { inChannels: channels, inputSize: size, numClasses: classes, flow } = cfg;
  const nullClass = classes && cfg.classDropoutProb > 0 ? classes : undefined;
  const network = {
    ...{ channels, size, nullClass, flow },
    ...(classes && { classes }),
    conditions: conditions(cfg),
    predict: (p: Scope, x: Tensor, t: Tensor, y: Tensor, given?: Conditions) => denoise(p, x, t, y, cfg, given),
  };
  const diffusers = diffusersLayout(cfg);
  const objective = objectiveOf(network);
  const inversion = inversionEntries(network);
  const training = trainingEntries({ ...network, labelDropout: hasNothing(network) ? cfg.classDropoutProb : 0 });
  return defineModel({
    config: cfg,
    onDemand: Object.keys({ ...training, ...inversion }),
    choices: { sampler: Object.keys(objective.samplers), inverter: Object.keys(objective.inverters) },
    layouts: diffusers && { diffusers },
    options: {
      ...samplingDefaults,
      ...objective.defaults,
      cfg: hasNothing(network) ? samplingDefaults.cfg : 1,
    },
    entries: {
      forward(e) {
        const x = e.input('x', [e.batch, channels, ...sidesOf(size)]);
        const t = e.input('t', [e.batch]);
        const y = classes ? e.input('y', [e.batch], 'i32') : constant(0, [e.batch], 'i32');
        return { out: network.predict(e.params, x, t, y, conditionsOf(e, network)) };
      },
      ...samplingEntries(network),
      ...inversion,
      ...training,
    },
  });
}
