import { family } from '../family.ts';
import { simpleProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, simpleProduct);
