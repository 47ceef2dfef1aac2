import { family } from '../family.ts';
import { tiledAttention } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, tiledAttention);
