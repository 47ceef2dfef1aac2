/**
 * What instrumented code calls. They touch only DSL tensors: a user object with a getter called `node` must not notice
 * that it was bound to a variable.
 */
import { kindOf } from '../dsl/arguments.ts';
import { Tensor } from '../dsl/index.ts';
import { DitcError } from '../ir/index.ts';
import { bind as bindTensor, setPlace } from '../dsl/trace.ts';

let last: string | undefined;

/** The call about to happen is at `where`. */
function at<T>(where: string, value: T): T {
  last = where;
  return setPlace(where, value);
}

/** `const name = value`. */
function bind<T>(name: string, value: T): T {
  return value instanceof Tensor ? bindTensor(name, value) : value;
}

/** `const [a, , b] = value`. */
function bindAll<T>(names: readonly (string | null)[], value: T): T {
  if (Array.isArray(value)) names.forEach((name, i) => name && bind(name, value[i]));
  else if (typeof (value as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator] !== 'function') {
    const what = `[${names.map((name) => name ?? '…').join(', ')}] is taken from what is not a list`;
    throw new DitcError({ code: 'model-crash', what, why: `it is ${kindOf(value)}`, fix: 'give a list, or one name' });
  }
  return value;
}

export const hooks = { at, bind, bindAll };

/** The last call reached since `clearPlace`; it outlives the trace, whose own place is gone once an error has left it. */
export const lastPlace = (): string | undefined => last;

export function clearPlace(): void {
  last = undefined;
  setPlace(undefined as unknown as string, undefined); // the trace's place has no other way back to "nowhere"
}
