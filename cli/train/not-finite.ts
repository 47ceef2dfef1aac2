/** The error that ends a training whose values are infinite or NaN. */
import { DitcError } from '../../compiler/ir/error.ts';

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
