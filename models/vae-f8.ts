/** The autoencoder of stabilityai/sd-vae-ft-ema and -mse for pictures of 256×256. Rombach et al. 2022, kl-f8. */
import { autoencoderKL } from './vae.ts';

export default autoencoderKL();
