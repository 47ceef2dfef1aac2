import { family } from '../family.ts';
import { tiledProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, tiledProduct);
