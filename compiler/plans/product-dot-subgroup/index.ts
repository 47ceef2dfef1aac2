import { family } from '../family.ts';
import { subgroupDotProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, subgroupDotProduct);
