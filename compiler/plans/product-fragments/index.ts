import { family } from '../family.ts';
import { fragmentProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, fragmentProduct);
