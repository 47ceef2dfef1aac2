/**
 * The training loss of diffusion models that learn their variance: mean squared error of the noise, and one term of the
 * variational bound for the variance alone. Ho et al. 2020 (L_simple), Nichol & Dhariwal 2021, section 3.1 (L_hybrid).
 *
 * Pictures and latents are [N,C,I,I]; t [N] i32 is a step of the process; losses are per image, [N].
 */
import { abs, constant, sigmoid, where, type Tensor } from '../compiler/dsl/index.ts';
import type { Prediction } from './objective.ts';
import { learnedRange, reverseColumns, type Coefficients } from './reverse.ts';
import type { Process } from './schedule.ts';
import { lookUp } from './table.ts';

/** What the loss at a step multiplies by, each [N,1,1,1]. */
export type LossCoefficients = Coefficients & { readonly sqrtAlphaBar: Tensor; readonly sqrtOneMinusAlphaBar: Tensor };

/** The constants of each image's own step. */
export function coefficientsAt(process: Process, t: Tensor): LossCoefficients {
  const { sqrtAlphaBar, sqrtOneMinusAlphaBar } = process;
  const columns = { ...reverseColumns(process), sqrtAlphaBar, sqrtOneMinusAlphaBar };
  return lookUp(columns, t.reshape(t.shape[0], 1, 1, 1));
}

/** A sample of q(x_t | x₀): √ᾱ·x₀ + √(1−ᾱ)·ε. Ho et al. 2020, equation 4. */
export const addNoise = (k: LossCoefficients, x0: Tensor, noise: Tensor) =>
  x0.mul(k.sqrtAlphaBar).add(noise.mul(k.sqrtOneMinusAlphaBar));

const meanOfImage = (x: Tensor) => x.mean([1, 2, 3]);

/** (ε − ε̂)², mean over the image. Ho et al. 2020, equation 14. */
export const meanSquaredError = (eps: Tensor, noise: Tensor) => meanOfImage(noise.sub(eps).square());

/**
 * Min-SNR weight of the squared error at t, [N,1,1,1]: min(SNR, γ)/SNR with SNR = ᾱ/(1−ᾱ). The plain mean spends itself on the
 * finest noise; what a picture shows is decided far above it. Hang et al. 2023, equation 8, for predictions of ε.
 */
export const minSnrWeight = (k: LossCoefficients, gamma: number) =>
  k.sqrtOneMinusAlphaBar.div(k.sqrtAlphaBar).square().mul(gamma).minimum(1);

/**
 * The bound's term at t, in bits, mean over the image: KL(q(x_{t−1}|x_t,x₀) ‖ p(x_{t−1}|x_t)), or −log p(x₀|x₁) at t = 0.
 * It sees ε̂ without its gradient: it trains v alone. Nichol & Dhariwal 2021, equations 4 to 7.
 *
 * Both see x₀ and x̂₀ through the difference of the posterior means only, c₁(x₀ − x̂₀) = c₁√(1/ᾱ−1)(ε̂ − ε). Written so, nothing
 * cancels, as it would between the means at small t. At t = 0, c₁ is 1 and the mean is x̂₀ itself.
 */
export function variationalBound(
  k: LossCoefficients,
  t: Tensor,
  x0: Tensor,
  noise: Tensor,
  { out: eps, v }: Required<Prediction>,
): Tensor {
  const distance = eps.detach().sub(noise).mul(k.posteriorMeanCoef1.mul(k.sqrtRecipM1AlphaBar));
  const logSigma2 = learnedRange(k, v);
  const divergence = gaussianDivergence(distance, k.posteriorLogVarianceClipped, logSigma2);
  const likelihood = discretisedLogLikelihood(x0, distance, logSigma2.mul(0.5)).neg();
  const isFirst = t.eq(0).reshape(t.shape[0], 1, 1, 1);
  return meanOfImage(where(isFirst, likelihood, divergence)).mul(1 / Math.LN2);
}

/** KL(N(m₁, e^l₁) ‖ N(m₂, e^l₂)) = ½(−1 + l₂ − l₁ + e^(l₁−l₂) + (m₁−m₂)²·e^(−l₂)) with distance m₁ − m₂, in nats. */
const gaussianDivergence = (distance: Tensor, l1: Tensor, l2: Tensor) => {
  const spread = l2.sub(l1).sub(1).add(l1.sub(l2).exp());
  return spread.add(distance.square().mul(l2.neg().exp())).mul(0.5);
};

/** Half a bin of 8-bit pixels that run from −1 to 1. */
const HALF_BIN = 1 / 255;
/** Pixels beyond are in the outermost bins, which have no other side. */
const EDGE = 0.999;
/** Probabilities below count as this: log 0 trains nothing. */
const LEAST = 1e-12;

/** Φ(u) by the tanh form that the released code uses, ½(1 + tanh(w)) with w = √(2/π)(u + 0.044715u³). Page 1977. */
const normalCdf = (u: Tensor) => sigmoid(u.add(u.square().mul(u).mul(0.044715)).mul(2 * Math.sqrt(2 / Math.PI)));

/**
 * log of the probability, in nats, that N(μ, σ²) gives to the bin of each pixel x, from x − μ and log σ. Ho et al. 2020,
 * equation 13. As ½(1 + tanh w) is sigmoid(2w), which keeps its digits where it is small, all is read in the lower tail.
 */
function discretisedLogLikelihood(x: Tensor, centred: Tensor, logSigma: Tensor): Tensor {
  const precision = logSigma.neg().exp();
  const below = (bound: Tensor) => normalCdf(bound.mul(precision));
  const [isLowest, isHighest] = [x.lt(-EDGE), x.gt(EDGE)];
  const far = abs(centred).neg();
  const near = where(isLowest, centred, where(isHighest, centred.neg(), far)).add(HALF_BIN);
  const beyond = where(isLowest, 0, where(isHighest, 0, below(far.sub(HALF_BIN))));
  return below(near).sub(beyond).maximum(LEAST).log();
}

/** Both terms per image; the bound is zero for models that learn no variance. */
export function lossTerms(process: Process, t: Tensor, x0: Tensor, noise: Tensor, predict: (x: Tensor) => Prediction) {
  const k = coefficientsAt(process, t);
  const { out: eps, v } = predict(addNoise(k, x0, noise));
  const vb = v ? variationalBound(k, t, x0, noise, { out: eps, v }) : constant(0, t.shape);
  return { mse: meanSquaredError(eps, noise), vb };
}
