/** DiT-L/2 for pictures of 256×256 (latents of 32×32). Peebles & Xie 2023, table 1. */
import { dit, sizes } from './dit.ts';

export default dit({ ...sizes.L, patchSize: 2 });
