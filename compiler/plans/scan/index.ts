import { family } from '../family.ts';
import { scanKernel } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, scanKernel);
