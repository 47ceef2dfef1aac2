import { family } from '../family.ts';
import { vec4TiledProduct } from './lower.ts';
import { planning } from './plan.ts';

export default family(planning, vec4TiledProduct);
