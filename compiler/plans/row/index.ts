import { family } from '../family.ts';
import { rowKernel } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, rowKernel);
