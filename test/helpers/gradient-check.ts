/**
 * Gradients against finite differences in float64, as JAX's check_grads does: along one random direction v,
 * ⟨∇L, v⟩ = (L(x+hv) − L(x−hv))/2h, for the loss L = Σ r·y with random weights r.
 */
import { gradients } from '../../compiler/autodiff/index.ts';
import { nodesOf, sizeOf, type Node } from '../../compiler/ir/index.ts';
import { interpretNodes, type Bindings, type Dense, type Functional, type Random } from '../../compiler/ops/index.ts';

const STEP = 1e-5;
const EPSILON = 2 ** -52;
/** Roundings in a chain of operations, each of which may move L by EPSILON of the sizes that go into it. */
const ROUNDINGS = 32;
/** A check whose own error estimate is larger than this part of the sizes involved proves nothing, and fails. */
const MAX_RELATIVE_TOLERANCE = 1e-4;

/** Values of nodes. */
export function evaluate(nodes: readonly Node[], bindings: Bindings): Dense[] {
  const order = nodesOf({
    name: 'evaluate',
    inputs: [],
    outputs: nodes.map((node) => ({ name: 'out', node })),
    updates: [],
  });
  const values = interpretNodes(order, bindings);
  return nodes.map((node) => values.get(node)!);
}

export interface GradientCheck {
  readonly analytic: number;
  readonly numeric: number;
  readonly tolerance: number;
}

/** Compares the gradient of y with respect to the named leaves `wrt`. Throws when it is off, or when the check is blind. */
export function checkGradient(
  f: Functional,
  y: Node,
  wrt: readonly Node[],
  bindings: Bindings,
  random: Random,
): GradientCheck {
  const weights = Float64Array.from({ length: sizeOf(y.type.shape) }, () => random.uniform(-1, 1));
  const r = f.op('constant', [], { dtype: 'f32', shape: y.type.shape, data: weights });
  const axes = y.type.shape.map((_, i) => i);
  const slopes = evaluate(gradients(f, f.sum(f.mul(y, r), axes), wrt), bindings);

  const directions = wrt.map((w) => Float64Array.from({ length: sizeOf(w.type.shape) }, () => random.uniform(-1, 1)));
  const at = (step: number): Float64Array => {
    const moved: Record<string, ArrayLike<number>> = { ...bindings };
    wrt.forEach((w, i) => {
      const name = String(w.attrs.name);
      moved[name] = Float64Array.from(bindings[name], (x, j) => x + step * directions[i][j]);
    });
    return evaluate([y], moved)[0].data;
  };
  const difference = (step: number): number => {
    const [above, below] = [at(step), at(-step)];
    return weights.reduce((sum, w, i) => sum + w * (above[i] - below[i]), 0) / (2 * step);
  };

  const value = evaluate([y], bindings)[0].data;
  const numeric = difference(STEP);
  // Central differences are off by h²L‴/6, so D(2h) − D(h) is three times that. Rounding is divided by the step.
  const truncation = Math.abs(difference(2 * STEP) - numeric);
  let analytic = 0;
  let sizes = weights.reduce((sum, w, i) => sum + Math.abs(w * value[i]), 0);
  let scale = 1;
  slopes.forEach(({ data }, i) => {
    const x = bindings[String(wrt[i].attrs.name)];
    data.forEach((g, j) => {
      analytic += g * directions[i][j];
      scale += Math.abs(g * directions[i][j]);
      sizes += Math.abs(g * x[j]);
    });
  });
  const tolerance = truncation + (ROUNDINGS * EPSILON * sizes) / STEP;
  const about = `gradient ${analytic}, difference quotient ${numeric}, tolerance ${tolerance}`;
  if (!(tolerance <= MAX_RELATIVE_TOLERANCE * scale)) throw new Error(`the check is blind here: ${about}`);
  if (!(Math.abs(analytic - numeric) <= tolerance)) throw new Error(about);
  return { analytic, numeric, tolerance };
}
