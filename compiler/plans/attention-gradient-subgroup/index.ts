import { family } from '../family.ts';
import { subgroupAttentionGradient } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, subgroupAttentionGradient);
