import { family } from '../family.ts';
import { subgroupAttention } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, subgroupAttention);
