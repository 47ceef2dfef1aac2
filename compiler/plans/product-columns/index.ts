import { family } from '../family.ts';
import { columnsProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, columnsProduct);
