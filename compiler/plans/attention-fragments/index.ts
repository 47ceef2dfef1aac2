import { family } from '../family.ts';
import { fragmentAttention } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, fragmentAttention);
