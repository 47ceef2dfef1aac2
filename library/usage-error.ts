import { DitcError, type ErrorParts } from '../compiler/ir/error.ts';

/** Something was called wrongly; of a command, its exit code is 2. */
export class UsageError extends DitcError {
  constructor(parts: Omit<ErrorParts, 'code'>) {
    super({ code: 'usage', ...parts });
  }
}
