import { family } from '../family.ts';
import { attentionKernel } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, attentionKernel);
