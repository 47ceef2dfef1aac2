import { family } from '../family.ts';
import { fragmentAttentionGradient } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, fragmentAttentionGradient);
