/** A DiT-S/2 adaLN-Zero block as one writes it in JAX. Every use but a value's last takes a `ref`: jax-js counts references. */
import type { DiTConfig } from '../../models/dit.ts';
import type { Jax } from './peers.ts';

export type JaxArray = InstanceType<Jax['Array']>;
export type JaxWeights = Record<string, JaxArray>;

/** Of x [1,tokens,d] and c [1,d], with models/dit.ts's names of weights. */
export function jaxBlock(jax: Jax, tokens: number, { hiddenSize: d, numHeads: heads }: DiTConfig) {
  const { numpy: np, nn } = jax;
  const linear = (p: JaxWeights, name: string, x: JaxArray) =>
    np.matmul(x, np.transpose(p[`${name}.weight`])).add(p[`${name}.bias`]);
  const modulate = (x: JaxArray, shift: JaxArray, scale: JaxArray) => x.mul(scale.add(1)).add(shift);
  const layerNorm = (x: JaxArray) => nn.standardize(x, -1, { epsilon: 1e-6 });

  const attention = (p: JaxWeights, x: JaxArray) => {
    const qkv = linear(p, 'attn.qkv', x).reshape([tokens, 3, heads, d / heads]);
    const [q, k, v] = np.split(np.transpose(qkv, [1, 2, 0, 3]), 3, 0).map((part) => np.squeeze(part, 0));
    const scores = np.matmul(q, np.transpose(k, [0, 2, 1])).mul((d / heads) ** -0.5);
    const mixed = np.matmul(nn.softmax(scores, -1), v);
    return linear(p, 'attn.proj', np.transpose(mixed, [1, 0, 2]).reshape([1, tokens, d]));
  };
  const mlp = (p: JaxWeights, x: JaxArray) =>
    linear(p, 'mlp.fc2', nn.gelu(linear(p, 'mlp.fc1', x), { approximate: true }));
  return (p: JaxWeights, x: JaxArray, c: JaxArray): JaxArray => {
    const parts = np.split(linear(p, 'adaLN_modulation.1', c).reshape([1, 1, 6 * d]), 6, 2);
    const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = parts;
    const middle = x.ref.add(gateA.mul(attention(p, modulate(layerNorm(x), shiftA, scaleA))));
    return middle.ref.add(gateM.mul(mlp(p, modulate(layerNorm(middle), shiftM, scaleM))));
  };
}
