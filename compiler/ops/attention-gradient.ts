/**
 * The derivative of attention without its weights in memory: they are computed again, score by score, from each row's largest
 * score and sum of exponentials. Dao et al. 2022, appendix B, has the logarithm of both as one number, which float32 cannot
 * hold where scores are large: beside −10⁹, a fill, log n is nothing.
 *
 * With P = exp(scores − largest)/sum, dP = dy·vᵀ and δ = Σ dy∘out over a row: dS = P∘(dP − δ), dq = scale·dS·k, dk = scale·dSᵀ·q,
 * dv = Pᵀ·dy. Where a mask does not hold, the score is a constant: dS is 0 there. With a cap, dS is first multiplied by the slope of
 * cap·tanh there.
 */
import {
  DitcError,
  formatShape,
  sameShape,
  sizeOf,
  type Attrs,
  type DType,
  type Node,
  type TensorType,
} from '../ir/index.ts';
import {
  attentionDims,
  checkNumbers,
  drawAttention,
  LOWEST,
  scoreOf,
  scoreOperands,
  scoresOf,
  slopeOf,
} from './attention.ts';
import { attrNumber, contractedDType, contractionOf, defineOp, shapeError, type OpDef } from './define.ts';
import { broadcastStrides, dense, dot, forEachIndex, type Dense } from './dense.ts';
import type { Functional } from './functional.ts';
import type { Contraction } from './kinds.ts';

/** What follows attention's own operands in those of its derivatives: dy, the result, the rows' statistics. */
const MORE = 3;

/** Operands of an attention's derivative, by what they are. */
export function gradientOperands<T>(inputs: readonly T[]) {
  const own = inputs.slice(0, -MORE);
  const [dy, out, stats] = inputs.slice(-MORE);
  return { own, dy, out, stats };
}

/** Whether two contractions walk over the same scores, so that one kernel computes both. */
export function shareScores(a: Node, b: Node): boolean {
  if (a === b || ['scale', 'cap', 'fill'].some((name) => !Object.is(a.attrs[name], b.attrs[name]))) return false;
  if (isAttentionDerivative(a) && isAttentionDerivative(b)) return a.inputs.every((input, i) => input === b.inputs[i]);
  const [main, sums] = contractionOf(a.op) === 'attention' ? [a, b] : [b, a];
  if (contractionOf(main.op) !== 'attention' || contractionOf(sums.op) !== 'attention-statistics') return false;
  const scored = main.inputs.filter((_, i) => i !== 2);
  return scored.length === sums.inputs.length && scored.every((input, i) => input === sums.inputs[i]);
}

/** Whether an anchor is a derivative of attention by its queries, keys or values. */
export const isAttentionDerivative = ({ op }: Node): boolean => DERIVATIVES.has(contractionOf(op));

const DERIVATIVES: ReadonlySet<Contraction> = new Set(['attention-queries', 'attention-keys', 'attention-values']);

/** Sizes of an attention whose values are not among the operands: they are as wide as the keys then. */
const scoreDims = ([q, k, ...more]: readonly TensorType[]) => attentionDims([q, k, k, ...more]);

/** Calls `visit` with each score, its row (outer…, i), key j, and the score's derivative by q·k. */
function eachScore(
  inputs: readonly Dense[],
  attrs: Attrs,
  visit: (outer: readonly number[], i: number, j: number, score: number, slope: number) => void,
): void {
  const { batch, m, n, d } = attentionDims(inputs);
  const { bias, mask } = scoreOperands(inputs, (x) => x.dtype);
  const rank = batch.length + 2;
  const [q, k] = inputs.map((x) => ({ data: x.data, strides: broadcastStrides(x.shape, rank) }));
  const at = (x: Dense, index: readonly number[]) => x.data[dot(index, broadcastStrides(x.shape, rank))];
  forEachIndex([...batch, m, n], (index) => {
    const [outer, i, j] = [index.slice(0, -2), ...index.slice(-2)];
    if (mask && !at(mask, index)) return visit(outer, i, j, Math.max(attrNumber(attrs, 'fill'), LOWEST), 0);
    const [q0, k0] = [dot([...outer, i, 0], q.strides), dot([...outer, j, 0], k.strides)];
    let score = 0;
    for (let l = 0; l < d; l++) score += q.data[q0 + l] * k.data[k0 + l];
    const biased = scoreOf(attrs, score) + (bias ? at(bias, index) : 0);
    visit(outer, i, j, Math.max(biased, LOWEST), slopeOf(attrs, score));
  });
}

/** Sizes of an attention; what does not fit is told as what the op takes. */
function dimsFor(op: string, takes: string, own: readonly TensorType[]) {
  const { bias, mask } = scoreOperands(own, (t) => t.dtype);
  if (own.length < 3 || own.length !== 3 + Number(!!bias) + Number(!!mask)) throw shapeError(op, takes);
  try {
    return attentionDims(own);
  } catch (error) {
    throw error instanceof DitcError ? shapeError(op, takes, error.what) : error;
  }
}

const maskOf = (inputs: readonly TensorType[]) => scoreOperands(inputs, (t) => t.dtype).mask;

const withValues = <T>([q, k, ...more]: readonly T[]): T[] => [q, k, k, ...more];

/** Column i, the last axis staying. */
function columnOf(f: Functional, x: Node, i: number): Node {
  const { shape } = x.type;
  const last = shape.length - 1;
  return f.slice(
    x,
    shape.map((_, axis) => (axis === last ? i : 0)),
    shape.with(last, 1),
  );
}

export const attentionStats = defineOp({
  name: 'attention_stats',
  doc: 'Of each query its largest score and 1/Σ exp(score − largest), […, m, 2]: of q […, m, d], k […, n, d], bias and mask as attention has them.',
  kind: 'contract',
  contraction: 'attention-statistics',
  many: (_original, [q, ...others], { apply, aligned, widened }) => apply([widened(q), ...others.map(aligned)]),
  type: (inputs, attrs) => {
    const { batch, m } = dimsFor('attention_stats', 'takes q, k, maybe a bias, maybe a mask', withValues(inputs));
    checkNumbers('attention_stats', attrs, maskOf(withValues(inputs)));
    return { dtype: contractedDType('attention_stats', inputs, attrs), shape: [...batch, m, 2] };
  },
  reference: (inputs, attrs, type) => {
    const { n } = scoreDims(inputs);
    const out = dense(type);
    const rows = out.data.length / 2;
    const scores = new Float64Array(rows * n);
    let next = 0;
    eachScore(withValues(inputs), attrs, (_outer, _i, _j, score) => (scores[next++] = score));
    for (let row = 0; row < rows; row++) {
      const own = scores.subarray(row * n, (row + 1) * n);
      const max = own.reduce((a, b) => Math.max(a, b));
      out.data.set([max, 1 / own.reduce((sum, score) => sum + Math.exp(score - max), 0)], 2 * row);
    }
    return out;
  },
  gradient: 'none',
  factors: 2,
  cost: (inputs) => {
    const { batch, m, n, d } = scoreDims(inputs);
    return { macs: sizeOf(batch) * m * n * d, flops: 6 * sizeOf(batch) * m * n };
  },
  expand: (f, inputs, attrs, { dtype }) => {
    const scores = f.max(scoresOf(f, withValues(inputs), attrs, dtype), LOWEST);
    const axes = [scores.type.shape.length - 1];
    const largest = f.reduceMax(scores, axes);
    return f.concat([largest, f.div(1, f.sum(f.exp(f.sub(scores, largest)), axes))], axes[0]);
  },
  sample: (random) => {
    const { inputs, attrs } = drawAttention(random, true);
    return { inputs: inputs.filter((_, i) => i !== 2), attrs };
  },
});

/** Which operand a derivative is of, and what a score adds to a row of it. */
interface Derivative {
  readonly of: 'q' | 'k' | 'v';
  readonly doc: string;
  readonly macs: (d: number, e: number) => number;
}

const OPERANDS = { q: 'queries', k: 'keys', v: 'values' } as const;

/** Derivatives of the scores by q·k: a number, without a cap. */
function slopesOf(f: Functional, [q, k]: readonly Node[], attrs: Attrs, dtype: DType): Node | number {
  const scale = attrNumber(attrs, 'scale');
  if (attrs.cap === undefined) return scale;
  const bend = f.tanh(f.mul(f.matmul(q, f.transpose(k), dtype), scale));
  return f.mul(f.sub(1, f.square(bend)), scale * attrNumber(attrs, 'cap'));
}

function defineDerivative(name: string, { of, doc, macs }: Derivative): OpDef {
  return defineOp({
    name,
    doc: `${doc} Operands: those of the attention, then dy, its result, and its attention_stats.`,
    kind: 'contract',
    contraction: `attention-${OPERANDS[of]}`,
    // dy, the result and the rows' statistics have the batch of the scores.
    many: (_original, operands, { apply, aligned, widened }) =>
      apply(operands.map((x, i) => (i === 0 || i >= operands.length - MORE ? widened(x) : aligned(x)))),
    type: (inputs, attrs) => {
      const { own, dy, out, stats } = gradientOperands(inputs);
      const { batch, m, n, d, e } = dimsFor(
        name,
        'takes the operands of an attention, dy, its result and its statistics',
        own,
      );
      checkNumbers(name, attrs, maskOf(own));
      for (const [what, t, shape] of [
        ['dy', dy, [...batch, m, e]] as const,
        ['the result', out, [...batch, m, e]] as const,
        ['the statistics', stats, [...batch, m, 2]] as const,
      ]) {
        if (sameShape(t.shape, shape)) continue;
        throw shapeError(name, `${what} does not fit`, `it is ${formatShape(t.shape)}, not ${formatShape(shape)}`);
      }
      return { dtype: contractedDType(name, own, attrs), shape: [...batch, of === 'q' ? m : n, of === 'v' ? e : d] };
    },
    reference: (inputs, attrs, type) => {
      const { own, dy, out, stats } = gradientOperands(inputs);
      const { batch, m, n, d, e } = attentionDims(own);
      const rank = batch.length + 2;
      const row = (x: Dense, outer: readonly number[], i: number) => {
        const from = dot([...outer, i, 0], broadcastStrides(x.shape, rank));
        return x.data.subarray(from, from + x.shape[x.shape.length - 1]);
      };
      const result = dense(type);
      const inner = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, l) => sum + value * y[l], 0);
      const add = (outer: readonly number[], at: number, factor: number, x: Float64Array) => {
        const to = row(result, outer, at);
        for (let l = 0; l < x.length; l++) to[l] += factor * x[l];
      };
      eachScore(own, attrs, (outer, i, j, score, steep) => {
        const [largest, share] = row(stats, outer, i);
        const weight = Math.exp(score - largest) * share;
        const [dyRow, outRow] = [row(dy, outer, i), row(out, outer, i)];
        if (of === 'v') return add(outer, j, weight, dyRow);
        const slope = weight * (inner(dyRow, row(own[2], outer, j)) - inner(dyRow, outRow));
        const [at, other] = of === 'q' ? [i, row(own[1], outer, j)] : [j, row(own[0], outer, i)];
        add(outer, at, steep && steep * slope, other);
      });
      return m && n && d && e ? result : dense(type);
    },
    gradient: 'none',
    factors: 3,
    cost: (inputs) => {
      const { batch, m, n, d, e } = attentionDims(gradientOperands(inputs).own);
      const scores = sizeOf(batch) * m * n;
      return { macs: scores * macs(d, e), flops: 6 * scores };
    },
    expand: (f, inputs, attrs, type) => {
      const { own, dy, out, stats } = gradientOperands(inputs);
      const [q, k, v] = own;
      const { dtype } = stats.type;
      const narrow = (x: Node) => f.cast(x, q.type.dtype);
      const scores = f.max(scoresOf(f, own, attrs, dtype), LOWEST);
      const [largest, share] = [0, 1].map((i) => columnOf(f, stats, i));
      const weights = f.mul(f.exp(f.sub(scores, largest)), share);
      if (of === 'v') return f.matmul(f.transpose(narrow(weights)), narrow(dy), type.dtype);
      const projected = f.sum(f.mul(dy, out), [dy.type.shape.length - 1]);
      const dFilled = f.mul(weights, f.sub(f.matmul(narrow(dy), f.transpose(v), dtype), projected));
      const { mask } = scoreOperands(own, (node) => node.type.dtype);
      const dScores = mask ? f.select(mask, dFilled, f.constant(0, dtype)) : dFilled;
      const slopes = narrow(f.mul(dScores, slopesOf(f, own, attrs, dtype)));
      return of === 'q' ? f.matmul(slopes, k, type.dtype) : f.matmul(f.transpose(slopes), q, type.dtype);
    },
    sample: (random) => {
      const { inputs, attrs } = drawAttention(random);
      const { batch, m, e } = attentionDims(inputs);
      const f32 = (shape: readonly number[]) => ({ dtype: 'f32' as const, shape });
      return { inputs: [...inputs, f32([...batch, m, e]), f32([...batch, m, e]), f32([...batch, m, 2])], attrs };
    },
  });
}

export const attentionDq = defineDerivative('attention_dq', {
  of: 'q',
  doc: 'Derivative of attention by its queries: scale·(P∘(dy·vᵀ − Σ dy∘out))·k.',
  macs: (d, e) => 2 * d + e,
});

export const attentionDk = defineDerivative('attention_dk', {
  of: 'k',
  doc: 'Derivative of attention by its keys: scale·(P∘(dy·vᵀ − Σ dy∘out))ᵀ·q, of the full batch.',
  macs: (d, e) => 2 * d + e,
});

export const attentionDv = defineDerivative('attention_dv', {
  of: 'v',
  doc: 'Derivative of attention by its values: Pᵀ·dy, of the full batch.',
  macs: (d, e) => d + e,
});
