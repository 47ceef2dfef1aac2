/** DiT-B/2 for pictures of 256×256 (latents of 32×32). Peebles & Xie 2023, table 1. */
import { dit, sizes } from './dit.ts';

export default dit({ ...sizes.B, patchSize: 2 });
