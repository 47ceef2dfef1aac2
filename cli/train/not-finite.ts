/** Values that are infinite or NaN, and the error that ends a training with them. */
import { DitcError } from '../../compiler/ir/error.ts';
import type { Values } from '../../runtime/weights.ts';

/** Whether no value is infinite or NaN. */
export function allFinite(values: Values): boolean {
  if (!(values instanceof Float32Array)) return true;
  // 0·x is 0 unless x is infinite or NaN, which the sum keeps: several times faster than asking each.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * values[i];
  return sum === 0;
}

/** After `step`, the output, parameter or state `value` was seen not to be finite. */
export class NotFinite extends DitcError {
  constructor(
    readonly step: number,
    readonly value: string,
    what: string,
    why?: string,
    /** The last step after which the measured outputs were finite, where they are what was looked at. */
    readonly good?: number,
  ) {
    super({ code: 'not-finite', what, why });
  }
}
