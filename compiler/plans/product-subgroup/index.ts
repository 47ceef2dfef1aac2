import { family } from '../family.ts';
import { subgroupProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, subgroupProduct);
