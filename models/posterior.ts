/** The Gaussian posterior of an autoencoder's latents. Kingma & Welling 2014. N batch, L latent channels, s side of the latent. */
import { exp, type Tensor } from '../compiler/dsl/index.ts';

/** Log-variances beyond these are cut off: e^−30 is no noise at all, e^20 nothing else. */
const LOG_VARIANCE = [-30, 20] as const;

/** The Gaussian that moments [N,2L,s,s] describe. */
export interface Posterior {
  /** [N,L,s,s]. The mode, too. */
  readonly mean: Tensor;
  /** [N,L,s,s], clamped to [−30, 20]. */
  readonly logVariance: Tensor;
}

/** The posterior that an encoder's moments [N,2L,h,w] stand for: mean and log variance, [N,L,h,w] each. */
export function posterior(moments: Tensor): Posterior {
  const [mean, logVariance] = moments.split(2, 1);
  return { mean, logVariance: logVariance.clamp(...LOG_VARIANCE) };
}

/** mean + √variance·noise, noise N(0,1) of the mean's shape. */
export const samplePosterior = ({ mean, logVariance }: Posterior, noise: Tensor): Tensor =>
  mean.add(exp(logVariance.mul(0.5)).mul(noise));

/** KL(posterior ‖ N(0,1)) of each image, in nats: ½Σ(μ² + σ² − 1 − log σ²), [N]. */
export const klDivergence = ({ mean, logVariance }: Posterior): Tensor =>
  mean.square().add(exp(logVariance)).sub(1).sub(logVariance).sum([1, 2, 3]).mul(0.5);
