/** The training step of a block in tfjs, op by op: gradients by its tape, AdamW and average in place. */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import { config, data, TOKENS, type Shapes } from './block-data.ts';
import type { StartedTf } from './peers.ts';
import { ADAMW, bias, type Trainer } from './trainer.ts';

export function tfTrainer({ tf, finish }: StartedTf, shapes: Shapes): Trainer {
  const { hiddenSize: d, numHeads: heads } = config;
  const { lr, beta1, beta2, eps, weightDecay, ema } = ADAMW;
  const names = [...shapes.keys()].filter((name) => !['x', 'c', 'target'].includes(name));
  const array = (name: string): Tensor => tf.tensor(data(name, shapes.get(name)!), [...shapes.get(name)!]);
  const each = (make: (name: string) => Tensor): Record<string, Variable> =>
    Object.fromEntries(names.map((name) => [name, tf.variable(make(name))]));
  const zeros = (name: string) => tf.zeros([...shapes.get(name)!]);
  const [p, m, v, average] = [each(array), each(zeros), each(zeros), each(array)];
  const [x, c, target] = ['x', 'c', 'target'].map(array);

  /** Of rows [n, …]. */
  const linear = (name: string, rows: Tensor): Tensor =>
    tf.add(tf.matMul(rows, p[`${name}.weight`], false, true), p[`${name}.bias`]);
  const modulate = (rows: Tensor, shift: Tensor, scale: Tensor) => tf.add(tf.mul(rows, tf.add(scale, 1)), shift);
  const layerNorm = (rows: Tensor) => {
    const centred = tf.sub(rows, tf.mean(rows, -1, true));
    return tf.mul(centred, tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-6)));
  };
  const attention = (rows: Tensor) => {
    const qkv = tf.transpose(tf.reshape(linear('attn.qkv', rows), [TOKENS, 3, heads, d / heads]), [1, 2, 0, 3]);
    const [q, k, value] = tf.unstack(qkv, 0);
    const scores = tf.mul(tf.matMul(q, k, false, true), (d / heads) ** -0.5);
    const mixed = tf.matMul(tf.softmax(scores), value);
    return linear('attn.proj', tf.reshape(tf.transpose(mixed, [1, 0, 2]), [TOKENS, d]));
  };
  /** By tanh, as DiT has it. */
  const gelu = (h: Tensor) => {
    const inner = tf.mul(tf.add(h, tf.mul(tf.mul(tf.square(h), h), 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(tf.mul(h, 0.5), tf.add(tf.tanh(inner), 1));
  };
  const lossOf = () => {
    const parts = tf.split(linear('adaLN_modulation.1', c), 6, 1);
    const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = parts;
    const rows = tf.reshape(x, [TOKENS, d]);
    const middle = tf.add(rows, tf.mul(gateA, attention(modulate(layerNorm(rows), shiftA, scaleA))));
    const mixed = linear('mlp.fc2', gelu(linear('mlp.fc1', modulate(layerNorm(middle), shiftM, scaleM))));
    const out = tf.add(middle, tf.mul(gateM, mixed));
    return tf.mean<Scalar>(tf.square(tf.sub(out, tf.reshape(target, [TOKENS, d]))));
  };

  let [loss, taken]: [Tensor | undefined, number] = [undefined, 0];
  const read = async (value: Tensor) => (await value.data()) as Float32Array;
  return {
    name: 'tfjs',
    submit() {
      loss?.dispose();
      const [first, second] = bias(++taken);
      const made = tf.variableGrads(lossOf, Object.values(p));
      loss = made.value;
      tf.tidy(() => {
        for (const name of names) {
          const g = made.grads[p[name].name];
          m[name].assign(tf.add(tf.mul(m[name], beta1), tf.mul(g, 1 - beta1)));
          v[name].assign(tf.add(tf.mul(v[name], beta2), tf.mul(tf.square(g), 1 - beta2)));
          const towards = tf.div(tf.div(m[name], first), tf.add(tf.sqrt(tf.div(v[name], second)), eps));
          p[name].assign(tf.sub(tf.mul(p[name], 1 - lr * weightDecay), tf.mul(towards, lr)));
          average[name].assign(tf.add(tf.mul(average[name], ema), tf.mul(p[name], 1 - ema)));
        }
      });
      tf.dispose(made.grads);
    },
    finish,
    loss: async () => (await read(loss!))[0],
    weight: (name) => read(p[name]),
    moment: (name) => read(m[name]),
    average: (name) => read(average[name]),
  };
}
