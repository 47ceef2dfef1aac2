/**
 * Sums over the rows of a product's left operand, beside the product: the derivative by a linear layer's bias is the sum of the
 * rows of dᵀ, and dᵀ is what its derivative by the weights multiplies. The product has every element at hand; a kernel of its
 * own would read all of them again.
 */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { attrList, isProduct, isSum } from '../ops/index.ts';
import { unshaped } from './product-values.ts';

/** Whether a reduction gives, for each row of the product's left operand [m,k], the sum of the row. */
export function isSumOfRows(reduction: Node, product: Node): boolean {
  if (!isSum(reduction) || !isProduct(product) || product.type.shape.length !== 2) return false;
  const [left] = product.inputs;
  const [source] = reduction.inputs;
  const axes = attrList(reduction.attrs, 'axes');
  const transposed = left.op === 'permute' && attrList(left.attrs, 'perm')[0] === 1;
  const matrix = transposed ? left.inputs[0] : left;
  if (unshaped(matrix) !== unshaped(source)) return false;
  const k = left.type.shape[1];
  return transposed ? isLeading(axes, source.type.shape, k) : isTrailing(axes, source.type.shape, k);
}

/** Whether the axes are the first ones, of `count` positions together. */
const isLeading = (axes: readonly number[], shape: Shape, count: number): boolean =>
  axes.every((axis, i) => axis === i) && sizeOf(shape.slice(0, axes.length)) === count;

const isTrailing = (axes: readonly number[], shape: Shape, count: number): boolean =>
  axes.every((axis, i) => axis === shape.length - axes.length + i) &&
  sizeOf(shape.slice(shape.length - axes.length)) === count;
