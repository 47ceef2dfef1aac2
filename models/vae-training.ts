/**
 * Training of the autoencoder as graphs: one call of `trainStep` is one whole step on the device. Kingma & Welling 2014 with a
 * weight on the divergence; Rombach et al. 2022, section 3.1, without the perceptual and adversarial terms, whose networks are
 * models of their own.
 */
import {
  abs,
  constant,
  iota,
  log,
  randomNormal,
  type Entry,
  type EntryFunction,
  type EntryOptions,
  type RandomSource,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { oneOf, realNumber } from './config.ts';
import { batchOf, optimize, optimizerOptions, startOptimizer, stepOf, type OptimizerOptions } from './optimizer.ts';
import { addLowRank } from './tuning.ts';
import { klDivergence, posterior, samplePosterior } from './posterior.ts';

const RECONSTRUCTIONS = ['l1', 'mse'] as const;

export interface AutoencoderTrainingOptions extends OptimizerOptions {
  /** What is asked of the pictures: the mean of |x − x̂| or of (x − x̂)². */
  readonly reconstruction: (typeof RECONSTRUCTIONS)[number];
  /** Weight of the divergence, where both it and the reconstruction are sums over the picture: LDM's convention. */
  readonly klWeight: number;
}

/** An autoencoder as training sees it. */
export interface Autoencoder {
  /** [C,H,W] of a picture. */
  readonly pictures: readonly number[];
  /** [L,h,w] of its latent. */
  readonly latents: readonly number[];
  /** [N,C,H,W] → moments [N,2L,h,w]. */
  encode(params: Scope, images: Tensor): Tensor;
  /** [N,L,h,w] → [N,C,H,W]. */
  decode(params: Scope, latents: Tensor): Tensor;
}

/** Those of LDM's kl-f8; its learning rate is 4.5e-6 for each picture of the batch. */
export const autoencoderTrainingDefaults = { reconstruction: 'l1', klWeight: 1e-6 } as const;

function trainingOptions(given: EntryOptions): AutoencoderTrainingOptions {
  const { reconstruction, klWeight } = autoencoderTrainingDefaults;
  return {
    ...optimizerOptions(given),
    reconstruction: oneOf('reconstruction', given.reconstruction ?? reconstruction, RECONSTRUCTIONS),
    klWeight: realNumber('klWeight', given.klWeight ?? klWeight, 0),
  };
}

/**
 * Noise of a step, [N,L,s,s]. Philox's key is the seed (low word, high word), its counters are (element of the latent, index of
 * the image in the update's batch, updates done).
 */
function draw(e: Entry, latents: readonly number[], accumulate: number): Tensor {
  const before = accumulate > 1 ? batchOf(e).cast('u32').mul(e.batch) : constant(0, [], 'u32');
  return drawFor(e, latents, before, stepOf(e).cast('u32'));
}

/** The noise of images numbered from `first` on, in an update. */
function drawFor(e: Entry, latents: readonly number[], first: Tensor, update: Tensor): Tensor {
  const N = e.batch;
  const [low, high] = e.input('seed', [2], 'u32').unstack();
  const source: RandomSource = {
    key: [low, high],
    counter: [
      iota([latents.reduce((a, b) => a * b)], 0, 'u32').reshape(1, ...latents),
      iota([N, 1, 1, 1], 0, 'u32').add(first),
      update,
    ],
  };
  return randomNormal(source);
}

/** Signal to noise of pictures that run from −1 to 1, in dB, mean over the batch. */
function psnr(difference: Tensor): Tensor {
  const mse = difference.square().mean([1, 2, 3]);
  return log(mse.maximum(LEAST_ERROR))
    .mul(-10 / Math.LN10)
    .add(10 * Math.log10(4))
    .mean();
}

/** 126 dB: beyond float32's own rounding. */
const LEAST_ERROR = 1e-12;

type NoiseFor = (options: OptimizerOptions) => Tensor;

/** What the autoencoder makes of a batch: its error [N,C,S,S], what the loss asks of it, and the divergences [N]. */
function errors(e: Entry, { pictures, encode, decode }: Autoencoder, noiseFor: NoiseFor) {
  const options = trainingOptions(e.options);
  addLowRank(e, options);
  const images = e.input('images', [e.batch, ...pictures]);
  const q = posterior(encode(e.params, images));
  const made = decode(e.params, samplePosterior(q, noiseFor(options)));
  const difference = made.sub(images);
  const asked = options.reconstruction === 'l1' ? abs(difference) : difference.square();
  const elements = pictures.reduce((a, b) => a * b);
  return { options, difference, asked, divergence: klDivergence(q), klWeight: options.klWeight / elements };
}

function trainStep(e: Entry, model: Autoencoder, noiseFor: NoiseFor) {
  const { options, difference, asked, divergence, klWeight } = errors(e, model, noiseFor);
  const [reconstruction, kl] = [asked.mean(), divergence.mean()];
  const loss = reconstruction.add(kl.mul(klWeight));
  const update = optimize(e, options, loss);
  return { loss, reconstruction, kl, psnr: psnr(difference), ...update };
}

/** An update that no training reaches: its counter is an i32. */
const VALIDATION = 0xffffffff;

/** The losses of pictures, with noise that depends on the seed and their number alone. */
function validate(e: Entry, model: Autoencoder) {
  const noise = () => drawFor(e, model.latents, e.input('first', [], 'u32'), constant(VALIDATION, [], 'u32'));
  const { asked, divergence, klWeight } = errors(e, model, noise);
  return { loss: asked.mean([1, 2, 3]).add(divergence.mul(klWeight)) };
}

/**
 * Training on batches of N pictures. `trainStart` clears the moments and makes the average of the weights a copy of them.
 * `trainStep` is a step; `trainStepGiven` one whose noise is given, for tests; `validate` changes nothing. `reconstruct` is decode(mean of encode).
 *
 * Inputs: images f32[N,C,S,S]; of `trainStep` and `validate` seed u32[2], of `validate` first u32[], the number of the first picture; of `trainStepGiven` noise f32[N,L,s,s]; of `reconstruct` image
 * f32[N,C,S,S]. Outputs of a step: loss, reconstruction (mean over elements), kl (nats per picture), psnr (dB), gradNorm, lr; of `validate` loss f32[N].
 */
export function autoencoderTraining(
  model: Autoencoder,
): Record<'trainStart' | 'trainStep' | 'trainStepGiven' | 'validate' | 'reconstruct', EntryFunction> {
  const { pictures, latents, encode, decode } = model;
  return {
    trainStart(e) {
      const options = trainingOptions(e.options);
      // Only the parameters that they declare are wanted: nobody reads the results.
      encode(e.params, constant(0, [1, ...pictures]));
      decode(e.params, constant(0, [1, ...latents]));
      startOptimizer(e, options);
    },
    trainStep: (e) => trainStep(e, model, ({ accumulate }) => draw(e, latents, accumulate)),
    trainStepGiven: (e) => trainStep(e, model, () => e.input('noise', [e.batch, ...latents])),
    validate: (e) => validate(e, model),
    reconstruct(e) {
      const image = e.input('image', [e.batch, ...pictures]);
      return { image: decode(e.params, posterior(encode(e.params, image)).mean) };
    },
  };
}
