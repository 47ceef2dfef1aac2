import { family } from '../family.ts';
import { turnedMap } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, turnedMap);
