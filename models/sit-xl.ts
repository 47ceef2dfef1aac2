/** SiT-XL/2 for pictures of 256×256: DiT-XL/2 by flow matching. Ma et al. 2024 (arXiv 2401.08740), table 1. */
import { dit, sizes } from './dit.ts';

export default dit({ ...sizes.XL, patchSize: 2, flow: {} });
