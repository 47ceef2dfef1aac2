/**
 * PixArt-α for pictures of 256×256, told by the 120 tokens that T5-XXL makes of a text. Chen et al. 2023 (arXiv 2310.00426),
 * sections 2.3 and 3.1.
 */
import { dit, sizes } from './dit.ts';

export default dit({
  ...sizes.XL,
  patchSize: 2,
  numClasses: 0,
  modulation: 'shared',
  sequence: { width: 4096, length: 120 },
});
