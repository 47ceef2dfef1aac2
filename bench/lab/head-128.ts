/** One block of a DiT whose heads are 128 wide: no model of models/ has such. */
import { dit } from '../../models/dit.ts';

export default dit({ hiddenSize: 768, depth: 1, numHeads: 6 });
