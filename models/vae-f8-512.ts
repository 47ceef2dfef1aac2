/** The autoencoder of stabilityai/sd-vae-ft-ema and -mse for pictures of 512×512. Rombach et al. 2022, kl-f8. */
import { autoencoderKL } from './vae.ts';

export default autoencoderKL({ sampleSize: 512 });
