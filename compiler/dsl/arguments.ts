/**
 * What the functions of the DSL take. TypeScript checks most of it, but not values (an axis that is not there, a fraction where
 * a size should be), and not what comes through `any` or from a program without types. So each says it here once, and a wrong
 * argument is told at the call, by the name of the function that the user wrote.
 */
import { DitcError, DTYPES, isInteger, ownerOf, type DType, type Node } from '../ir/index.ts';
import { activeTrace, currentPlace, currentTrace } from './trace.ts';

/** One argument. `expects` gives what it must be, when `value` is not that; `self` is the tensor whose method is called. */
export interface Argument {
  readonly name: string;
  readonly expects: (value: unknown, self?: unknown) => string | undefined;
  readonly optional?: boolean;
  readonly rest?: boolean;
}

const argument = (name: string, what: string, fits: (value: unknown) => boolean): Argument => ({
  name,
  expects: (value) => (fits(value) ? undefined : what),
});

export const optional = (arg: Argument): Argument => ({ ...arg, optional: true });
export const rest = (arg: Argument): Argument => ({ ...arg, rest: true });

const isNumber = (value: unknown): value is number => typeof value === 'number';
const isWhole = (value: unknown): boolean => Number.isSafeInteger(value);
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** The node of a tensor, by who made it: any object may have a property of that name. */
function nodeOf(value: unknown): Node | undefined {
  const node = typeof value === 'object' && value !== null ? (value as { node?: Node }).node : undefined;
  return typeof node === 'object' && node !== null && ownerOf(node) ? node : undefined;
}

const isForeign = (node: Node): boolean => ownerOf(node) !== activeTrace()?.builder;

export const tensor = (name: string): Argument => ({
  name,
  expects: (value) => {
    const node = nodeOf(value);
    if (!node) return 'a tensor';
    currentTrace(); // Outside an entry, that is what is wrong.
    return isForeign(node) ? 'a tensor of this entry' : undefined;
  },
});

/** A tensor, or a number that the dtype of the receiver holds. */
export const operand = (name: string): Argument => ({
  name,
  expects: (value, self) =>
    isNumber(value)
      ? numberOf(value, nodeOf(self)?.type.dtype ?? 'f32')
      : tensor(name).expects(value) && orNumber(value),
});
const orNumber = (value: unknown): string => (nodeOf(value) ? 'a tensor of this entry' : 'a tensor or a number');

/** What a number must be to be a value of the dtype, if it is not. */
export function numberOf(value: number, dtype: DType): string | undefined {
  const range = RANGES[dtype];
  if (!range || (Number.isInteger(value) && value >= range[0] && value <= range[1])) return undefined;
  return `a whole number from ${range[0]} to ${range[1]}, as ${dtype} holds`;
}
const RANGES: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  bool: [0, 1],
};

export const tensors = (name: string, least = 1): Argument => ({
  name,
  expects: (value) => {
    const what = `a list of ${least ? 'one or more ' : ''}tensors`;
    if (!isList(value) || value.length < least) return what;
    const wrong = value.findIndex((item) => tensor(name).expects(item));
    return wrong < 0 ? undefined : `${what}: element ${wrong} is ${kindOf(value[wrong])}`;
  },
});

export const number = (name: string) => argument(name, 'a number', (value) => isNumber(value) && !Number.isNaN(value));
export const finite = (name: string, least = -Infinity) =>
  argument(
    name,
    least === -Infinity ? 'a finite number' : `a finite number of at least ${least}`,
    (value) => Number.isFinite(value) && (value as number) >= least,
  );
export const whole = (name: string, least = -Infinity) =>
  argument(
    name,
    least === -Infinity ? 'a whole number' : `a whole number of at least ${least}`,
    (value) => isWhole(value) && (value as number) >= least,
  );
export const position = (name: string) =>
  argument(name, 'a whole number', (value) => isWhole(value) || value === Infinity);
export const wholes = (name: string, least = -Infinity) =>
  argument(
    name,
    least === -Infinity ? 'a list of whole numbers' : `a list of whole numbers of at least ${least}`,
    (value) => isList(value) && value.every((n) => isWhole(n) && (n as number) >= least),
  );
export const oneOrMoreAxes = (name: string) =>
  argument(name, 'an axis or a list of axes', (value) => isWhole(value) || (isList(value) && value.every(isWhole)));
export const shape = (name: string) =>
  argument(
    name,
    'a list of sizes, whole numbers of at least 1',
    (value) => wholes(name, 1).expects(value) === undefined,
  );
export const dtype = (name: string) =>
  argument(name, `one of ${DTYPES.join(', ')}`, (value) => (DTYPES as readonly unknown[]).includes(value));
export const text = (name: string) => argument(name, 'a string', (value) => typeof value === 'string');
export const names = (name: string) =>
  argument(name, 'a name or a number', (value) => typeof value === 'string' || isWhole(value));

/** An object of options, all of which may be left out. */
export const options = (name: string, known: readonly Argument[]): Argument => ({
  name,
  optional: true,
  expects: (value) => {
    if (typeof value !== 'object' || value === null || isList(value) || nodeOf(value))
      return `an object of options, { ${known.map((option) => option.name).join(', ')} }`;
    for (const [key, given] of Object.entries(value)) {
      const option = known.find((one) => one.name === key);
      if (!option) return `an object of options, { ${known.map((one) => one.name).join(', ')} }: ${key} is none`;
      const expected = given === undefined ? undefined : option.expects(given);
      if (expected) return `an object in which ${key} is ${expected}: it is ${kindOf(given)}`;
    }
    return undefined;
  },
});
export const flag = (name: string) => argument(name, 'true or false', (value) => typeof value === 'boolean');

/** A value in words: `undefined`, `the number 1.5`, `a list of 3`. */
export function kindOf(value: unknown): string {
  const node = nodeOf(value);
  if (node) return isForeign(node) ? 'a tensor of another entry' : 'a tensor';
  if (isList(value)) return `a list of ${value.length}`;
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 39)}…` : value)}`;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'object' && value !== null) return value instanceof Promise ? 'a promise' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

type Call = (this: unknown, ...args: never[]) => unknown;

/** `f` as the user calls it, under the name that the user wrote: its arguments are checked, its errors speak of that name. */
export function takes<F extends (...args: never[]) => unknown>(op: string, args: readonly Argument[], f: F): F {
  const call = f as unknown as Call;
  return function (this: unknown, ...given: unknown[]): unknown {
    checkArguments(op, args, given, this);
    try {
      return call.apply(this, given as never[]);
    } catch (error) {
      throw error instanceof DitcError ? named(error, op) : error;
    }
  } as unknown as F;
}

/** Puts `takes` around the methods of a class; a method without its arguments is a compile error. */
export function methodsTake<T extends object>(type: { prototype: T }, args: Record<MethodsOf<T>, readonly Argument[]>) {
  const methods = type.prototype as Record<string, Call>;
  for (const [name, list] of Object.entries<readonly Argument[]>(args))
    methods[name] = takes(name, list, methods[name]);
}
type MethodsOf<T> = { [K in keyof T]: T[K] extends (...args: never[]) => unknown ? K : never }[keyof T] & string;

function checkArguments(op: string, args: readonly Argument[], given: readonly unknown[], self: unknown): void {
  const fail = (what: string, why?: string) =>
    new DitcError({
      code: 'argument',
      where: currentPlace(),
      what: `${op}: ${what}`,
      why,
      fix: `write ${usage(op, args, self)}`,
    });
  const most = args.at(-1)?.rest ? Infinity : args.length;
  if (given.length > most) throw fail(`takes ${count(most)}, it got ${given.length}`);
  const count_ = Math.max(args.filter((arg) => !arg.rest).length, given.length);
  for (let i = 0; i < count_; i++) {
    const arg = args[Math.min(i, args.length - 1)];
    if (given[i] === undefined && arg.optional) continue;
    const expected = arg.expects(given[i], self);
    if (!expected) continue;
    const missing = i >= given.length;
    throw fail(
      missing ? `${arg.name} is missing` : `${arg.name} must be ${expected}`,
      missing ? undefined : `it is ${kindOf(given[i])}`,
    );
  }
}

const count = (n: number): string => (n === 0 ? 'no arguments' : n === 1 ? 'one argument' : `at most ${n} arguments`);

/** `x.slice(axis, start, end?, step?)` */
function usage(op: string, args: readonly Argument[], self: unknown): string {
  const list = args.map((arg) => `${arg.rest ? '…' : ''}${arg.name}${arg.optional ? '?' : ''}`).join(', ');
  return `${nodeOf(self) ? 'x.' : ''}${op}(${list})`;
}

/** Type rules speak of the ops of the IR; the user wrote `op`. */
function named(error: DitcError, op: string): DitcError {
  const { code, what, where, why, fix } = error;
  const rule = /^(\w+): (.*)$/s.exec(what);
  if (!rule || rule[1] === op || code === 'verify') return error;
  return new DitcError({ code, what: `${op}: ${rule[2]}`, where, why, fix }, { cause: error });
}

/** Whether a dtype holds whole numbers only. */
export const isExact = (of: DType): boolean => isInteger(of) || of === 'bool';
