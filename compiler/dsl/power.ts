/** Powers of a number that the model knows: products and roots, where a GPU's `pow` would lose what is negative. */
import { isFloat, isInteger, type Node } from '../ir/index.ts';
import { currentTrace } from './trace.ts';

const f = () => currentTrace().f;

/** Whole powers beyond this are left to `pow`: up to it, twenty products do. */
const MOST_POWER = 1024;

/** xʸ by products where y is whole (GPUs compute 2^(y·log₂ x), which is NaN for a negative x), by roots where it is a half. */
export function power(x: Node, y: number): Node {
  const { dtype } = x.type;
  const isWhole = Number.isInteger(y) && Math.abs(y) <= MOST_POWER;
  if (!isFloat(dtype) && !(isInteger(dtype) && isWhole && y >= 0)) return f().pow(x, y);
  if (y === 0.5) return f().sqrt(x);
  if (y === -0.5) return f().rsqrt(x);
  if (!isWhole) return f().pow(x, y);
  if (y < 0) return power(f().div(1, x), -y);
  if (y === 0) return f().constant(1, x.type.dtype, x.type.shape);
  if (y === 1) return x;
  const half = f().square(power(x, Math.floor(y / 2)));
  return y % 2 ? f().mul(half, x) : half;
}
