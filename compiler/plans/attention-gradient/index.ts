import { family } from '../family.ts';
import { attentionGradient } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, attentionGradient);
