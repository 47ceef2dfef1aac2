import { family } from '../family.ts';
import { dotProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, dotProduct);
