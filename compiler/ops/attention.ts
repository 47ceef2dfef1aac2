/** Attention as one value: what the rule online_attention finds in plain algebra, so that no kernel stores the scores. */
import { broadcastShapes, formatShape, sameShape, sizeOf, type TensorType } from '../ir/index.ts';
import { attrNumber, defineOp, expectFloat, expectSameDType, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, forEachIndex } from './dense.ts';

/** Checks the operands of an attention and gives their sizes: q […batch, m, d], k […batch, n, d], v […batch, n, e]. */
export function attentionDims(inputs: readonly TensorType[]) {
  const [q, k, v, bias] = inputs.map((t) => t.shape);
  const shapes = `q is ${formatShape(q)}, k is ${formatShape(k)}, v is ${formatShape(v)}`;
  if (q.length < 2) throw shapeError('attention', 'takes matrices', shapes, 'unsqueeze vectors');
  const batch = q.slice(0, -2);
  if (![k, v].every((s) => sameShape(s.slice(0, -2), batch))) {
    throw shapeError('attention', 'batch axes differ', shapes, 'broadcast them first');
  }
  const [m, d] = q.slice(-2);
  const [n, e] = v.slice(-2);
  if (k[k.length - 1] !== d) throw shapeError('attention', 'queries and keys differ in length', shapes);
  if (k[k.length - 2] !== n) throw shapeError('attention', 'there are not as many values as keys', shapes);
  const scores = [...batch, m, n];
  if (bias && !sameShape(broadcastShapes(bias, scores) ?? [], scores)) {
    const why = `bias is ${formatShape(bias)}, scores are ${formatShape(scores)}`;
    throw shapeError('attention', 'bias does not broadcast to the scores', why);
  }
  return { batch, m, n, d, e };
}

export const attention = defineOp({
  name: 'attention',
  doc: 'softmax(scale·q·kᵀ + bias)·v: q […, m, d], k […, n, d], v […, n, e], bias broadcast to […, m, n] (optional).',
  kind: 'contract',
  type: (inputs, attrs) => {
    if (inputs.length !== 3 && inputs.length !== 4)
      throw shapeError('attention', 'takes q, k, v and maybe bias', `got ${inputs.length}`);
    expectFloat('attention', ...inputs);
    expectSameDType('attention', inputs);
    if (!Number.isFinite(attrs.scale)) throw shapeError('attention', 'scale is a finite number');
    const { batch, m, e } = attentionDims(inputs);
    return { dtype: inputs[0].dtype, shape: [...batch, m, e] };
  },
  reference: (inputs, attrs, type) => {
    const { batch, m, n, d, e } = attentionDims(inputs);
    const [q, k, v, bias] = inputs.map((x) => x.data);
    const strides = bias && broadcastStrides(inputs[3].shape, batch.length + 2);
    const out = dense(type);
    forEachIndex([...batch, m], (index, row) => {
      const b = Math.floor(row / m);
      const scores = Float64Array.from({ length: n }, (_, j) => {
        let score = 0;
        for (let l = 0; l < d; l++) score += q[row * d + l] * k[(b * n + j) * d + l];
        return attrNumber(attrs, 'scale') * score + (strides ? bias[dot([...index, j], strides)] : 0);
      });
      const max = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - max));
      const sum = weights.reduce((a, b) => a + b);
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < e; l++) out.data[row * e + l] += (weights[j] / sum) * v[(b * n + j) * e + l];
      }
    });
    return out;
  },
  // The weights are computed again: dS = P∘(dy·vᵀ − Σ dy∘out), and dS reaches q, k and bias.
  gradient: ({ f, inputs: [q, k, v, bias], attrs, out, dy }) => {
    const scale = attrNumber(attrs, 'scale');
    const scaled = f.mul(f.matmul(q, f.transpose(k)), scale);
    const weights = f.op('softmax', [bias ? f.add(scaled, bias) : scaled]);
    const projected = f.sum(f.mul(dy, out), [out.type.shape.length - 1]);
    const dScores = f.mul(weights, f.sub(f.matmul(dy, f.transpose(v)), projected));
    const dProduct = f.mul(dScores, scale);
    const dq = f.matmul(dProduct, k);
    const dk = f.matmul(f.transpose(dProduct), q);
    const dv = f.matmul(f.transpose(weights), dy);
    return bias ? [dq, dk, dv, dScores] : [dq, dk, dv];
  },
  cost: (inputs) => {
    const { batch, m, n, d, e } = attentionDims(inputs);
    const scores = sizeOf(batch) * m * n;
    // As many scalar operations per score as softmax counts, and two for scale and bias.
    return { macs: scores * (d + e), flops: 14 * scores };
  },
  sample: (random) => {
    const biased = random.next() < 0.7;
    const batch = random.shape(0, 2, 3);
    const [m, n, d, e] = [random.int(1, 9), random.int(1, 12), random.int(1, 10), random.int(1, 10)];
    const bias = biased ? [random.broadcastable([...batch, m, n])] : [];
    const shapes = [[...batch, m, d], [...batch, n, d], [...batch, n, e], ...bias];
    return { inputs: shapes.map((shape) => ({ dtype: 'f32' as const, shape })), attrs: { scale: 0.5 } };
  },
  expand: (f, [q, k, v, bias], attrs) => {
    const scaled = f.mul(f.matmul(q, f.transpose(k)), attrNumber(attrs, 'scale'));
    return f.matmul(f.op('softmax', [bias ? f.add(scaled, bias) : scaled]), v);
  },
});
