/** DiT-XL/2 for pictures of 512×512 (latents of 64×64). Peebles & Xie 2023, section 5. */
import { dit, sizes } from './dit.ts';

export default dit({ ...sizes.XL, patchSize: 2, inputSize: 64 });
