import { family } from '../family.ts';
import { tiledAttentionGradient } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, tiledAttentionGradient);
