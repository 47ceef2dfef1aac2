import { family } from '../family.ts';
import { vectorRows } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, vectorRows);
