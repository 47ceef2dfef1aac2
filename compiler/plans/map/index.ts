import { family } from '../family.ts';
import { mapKernel } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, mapKernel);
