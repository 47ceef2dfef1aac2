/** LightningDiT-XL/1 for pictures of 256×256, on latents of 16×16 with 32 channels. Yao & Wang 2025 (arXiv 2501.01423), section 4. */
import { dit, sizes } from './dit.ts';

export default dit({
  ...sizes.XL,
  inputSize: 16,
  patchSize: 1,
  inChannels: 32,
  learnSigma: false,
  norm: 'rms',
  mlp: 'swiglu',
  rope: true,
  flow: { times: 'logit-normal' },
});
