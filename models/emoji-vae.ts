/** A small autoencoder of 64 px pictures in colour, 4× smaller on a side: docs/emoji.md tells how it was trained. */
import { autoencoderKL } from './vae.ts';

export default autoencoderKL({
  sampleSize: 64,
  latentChannels: 4,
  blockOutChannels: [16, 32, 32],
  layersPerBlock: 1,
  normNumGroups: 4,
  // 1 over the deviation of the latents of the trained weights, as `ditc encode` tells it.
  scalingFactor: 0.3588,
});
