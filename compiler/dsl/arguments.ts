/**
 * What the functions of the DSL take. TypeScript checks most of it, but not values (an axis that is not there, a fraction where
 * a size should be), and not what comes through `any` or from a program without types. So each says it here once, and a wrong
 * argument is told at the call, by the name of the function that the user wrote.
 */
import { DitcError, DTYPES, isInteger, ownerOf, valueRule, type DType, type Node } from '../ir/index.ts';
import { activeTrace, currentPlace, currentTrace } from './trace.ts';

/** One argument. `expects` gives what it must be, when `value` is not that; `self` is whose method is called. */
export interface Argument {
  readonly name: string;
  readonly expects: (value: unknown, self?: unknown) => string | undefined;
  readonly optional?: boolean;
  /** The last one: it stands for any number. */
  readonly rest?: boolean;
}

/** The arguments of all methods of a class: one that is forgotten is a compile error. */
export type Arguments<T> = Readonly<Record<MethodsOf<T>, readonly Argument[]>>;
type MethodsOf<T> = { [K in keyof T]: T[K] extends (...args: never[]) => unknown ? K : never }[keyof T] & string;

export const optional = (arg: Argument): Argument => ({ ...arg, optional: true });
export const rest = (arg: Argument): Argument => ({ ...arg, rest: true });

/** A value that fits, or is to be `what`. */
export const argument = (name: string, what: string, fits: (value: unknown) => boolean): Argument => ({
  name,
  expects: (value) => (fits(value) ? undefined : what),
});

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** The node of a tensor, known by who made it: any object may have a property of that name. */
function nodeOf(value: unknown): Node | undefined {
  const node = typeof value === 'object' && value !== null ? (value as { node?: Node }).node : undefined;
  return typeof node === 'object' && node !== null && ownerOf(node) ? node : undefined;
}

const isForeign = (node: Node): boolean => ownerOf(node) !== activeTrace()?.builder;

/** Whether a value is a tensor of another entry, or a structure that holds one: a list, what a loop carries, a source of random numbers. */
function holdsForeign(value: unknown, depth = 3): boolean {
  const node = nodeOf(value);
  if (node) return isForeign(node);
  const isStructure = depth > 0 && typeof value === 'object' && value !== null;
  return isStructure && Object.values(value).some((part) => holdsForeign(part, depth - 1));
}

/** What to do about a tensor of another entry. */
const FOREIGN_FIX =
  'an entry has the tensors that it makes itself: call what makes this one in both, or keep its value by e.state and e.update';

export const tensor = (name: string, what = 'a tensor'): Argument => ({
  name,
  expects: (value) => {
    const node = nodeOf(value);
    if (!node) return what;
    currentTrace(); // Outside an entry, that is what is wrong.
    return isForeign(node) ? `${what} of this entry` : undefined;
  },
});

/** A number that the dtype of the receiver holds. */
export const scalar = (name: string): Argument => ({
  name,
  expects: (value, self) => (typeof value === 'number' ? valueRule(value, dtypeOf(self)) : 'a number'),
});

/** A tensor, or such a number. */
export const operand = (name: string): Argument => ({
  name,
  expects: (value, self) =>
    typeof value === 'number' ? valueRule(value, dtypeOf(self)) : tensor(name, 'a number or a tensor').expects(value),
});

/** An operand that integers can be divided by. */
export const divisor = (name: string): Argument => ({
  name,
  expects: (value, self) => {
    const constant = nodeOf(value)?.attrs.value ?? value;
    const isZero = isInteger(dtypeOf(self)) && constant === 0;
    return isZero ? `other than 0: ${dtypeOf(self)} has no infinity` : operand(name).expects(value, self);
  },
});

const dtypeOf = (tensor: unknown): DType => nodeOf(tensor)?.type.dtype ?? 'f32';

export const tensors = (name: string, least = 1): Argument => ({
  name,
  expects: (value) => {
    if (!isList(value) || value.length < least) return `a list of tensors${least ? ', one at least' : ''}`;
    const wrong = value.find((item) => tensor(name).expects(item));
    return wrong === undefined && !value.includes(undefined) ? undefined : `a list of tensors: one is ${kindOf(wrong)}`;
  },
});

const atLeast = (what: string, least: number) => (least === -Infinity ? what : `${what} of at least ${least}`);
const isWhole = (value: unknown, least = -Infinity): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least;

export const finite = (name: string, least = -Infinity) =>
  argument(name, atLeast('a finite number', least), (value) => Number.isFinite(value) && (value as number) >= least);
export const share = (name: string) =>
  argument(
    name,
    'a number from 0 to 1',
    (value) => (value as number) >= 0 && (value as number) <= 1 && typeof value === 'number',
  );
export const whole = (name: string, least = -Infinity) =>
  argument(name, atLeast('a whole number', least), (value) => isWhole(value, least));
export const wholes = (name: string, least = -Infinity) =>
  argument(
    name,
    `a list of ${atLeast('whole numbers', least)}`,
    (value) => isList(value) && value.every((n) => isWhole(n, least)),
  );
export const shape = (name: string) => wholes(name, 1);
/** A place along an axis; Infinity is its end. */
export const position = (name: string) =>
  argument(name, 'a whole number', (value) => isWhole(value) || value === Infinity);
export const axes = (name: string) =>
  argument(name, 'an axis or a list of axes', (value) => [value].flat().every((axis) => isWhole(axis)));
export const dtype = (name: string) =>
  argument(name, `one of ${DTYPES.join(', ')}`, (value) => (DTYPES as readonly unknown[]).includes(value));
export const text = (name: string) => argument(name, 'a string', (value) => typeof value === 'string');
export const flag = (name: string) => argument(name, 'true or false', (value) => typeof value === 'boolean');

const INITS: readonly unknown[] = ['zeros', 'ones', 'normal', 'uniform', 'data'];
export const init = (name: string) =>
  argument(name, 'zeros, ones, normal(…), uniform(…), xavierUniform(…) or fixed(…)', (value) =>
    INITS.includes((value as { kind?: unknown } | null | undefined)?.kind),
  );

const RESIZE = "{ kind: 'rows', last: a number of rows } or { kind: 'grid' }";

function isResize(value: unknown): boolean {
  const { kind, last = 0 } = (value ?? {}) as { kind?: unknown; last?: unknown };
  return (kind === 'rows' || kind === 'grid') && Number.isSafeInteger(last) && (last as number) >= 0;
}

export const resize = (name: string) => argument(name, RESIZE, isResize);

/** An object of options, each of which may be left out, as may all. */
export const options = (name: string, known: readonly Argument[]): Argument => ({
  name,
  optional: true,
  expects: (value) => {
    const what = `an object of options, { ${known.map((option) => option.name).join(', ')} }`;
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return what;
    for (const [key, given] of Object.entries(value)) {
      const option = known.find((one) => one.name === key);
      if (!option) return `${what}: ${key} is none of them`;
      const expected = given === undefined ? undefined : option.expects(given);
      if (expected) return `${what}: ${key} must be ${expected}, and is ${kindOf(given)}`;
    }
    return undefined;
  },
});

/** A value in words: `undefined`, `1.5`, `a list of 3`. */
export function kindOf(value: unknown): string {
  const node = nodeOf(value);
  if (node) return activeTrace() && isForeign(node) ? 'a tensor of another entry' : 'a tensor';
  if (isList(value)) return `a list of ${value.length}`;
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 39)}…` : value)}`;
  if (typeof value === 'object' && value !== null) return value instanceof Promise ? 'a promise' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/** `f` as the user calls it, under the name that the user wrote: its arguments are checked, its errors speak of that name. */
export function takes<F extends (...args: never[]) => unknown>(op: string, args: readonly Argument[], f: F): F {
  return function (this: unknown, ...all: unknown[]): unknown {
    const given = args.length === 1 && isOfList(all) ? all.slice(0, 1) : all;
    checkArguments(op, args, given, this);
    try {
      return f.apply(this, given as never[]);
    } catch (error) {
      throw error instanceof DitcError && !ofUsers.has(error) ? named(error, op) : error;
    }
  } as unknown as F;
}

/** Errors in functions of the user's: they speak of what these call. */
const ofUsers = new WeakSet<DitcError>();

/** Calls a function of the user's. */
export function calling<T>(f: () => T): T {
  try {
    return f();
  } catch (error) {
    if (error instanceof DitcError) ofUsers.add(error);
    throw error;
  }
}

/** Whether arguments are those that a list gives a function, as in `xs.map(silu)`: an element, its place, and the list. */
const isOfList = ([element, place, list, ...more]: readonly unknown[]): boolean =>
  !more.length && isList(list) && typeof place === 'number' && list[place] === element;

/** Puts `takes` around the methods of a class. */
export function methodsTake<T extends object>(type: { name: string; prototype: T }, args: Arguments<T>): void {
  const methods = type.prototype as Record<string, (...args: never[]) => unknown>;
  for (const [name, list] of Object.entries<readonly Argument[]>(args)) {
    const method = takes(name, list, methods[name]);
    methods[name] = function (this: unknown, ...given) {
      if (type.prototype.isPrototypeOf(this as object)) return method.apply(this, given);
      const what = `${name}: it was taken from its ${type.name.toLowerCase()}, and called without it`;
      throw new DitcError({
        code: 'argument',
        where: currentPlace(),
        what,
        fix: `write x.${name}(…), or (…) => x.${name}(…)`,
      });
    };
  }
}

function checkArguments(op: string, args: readonly Argument[], given: readonly unknown[], self: unknown): void {
  const refuse = (what: string, why?: string, fix = `write ${usage(op, args, self)}`) => {
    return new DitcError({ code: 'argument', where: currentPlace(), what: `${op}: ${what}`, why, fix });
  };
  if (activeTrace() && nodeOf(self) && holdsForeign(self))
    throw refuse('x is a tensor of another entry', undefined, FOREIGN_FIX);
  const last = args.at(-1);
  if (given.length > args.length && !last?.rest) {
    const most = ['no arguments', 'one argument'][args.length] ?? `at most ${args.length} arguments`;
    throw refuse(`takes ${most}`, `it got ${given.length}`);
  }
  const total = Math.max(args.length - (last?.rest ? 1 : 0), given.length);
  for (let i = 0; i < total; i++) {
    const arg = args[i] ?? last;
    if (given[i] === undefined && arg.optional) continue;
    const expected = arg.expects(given[i], self);
    if (!expected) continue;
    if (i >= given.length) throw refuse(`${arg.name} is missing`, `it must be ${expected}`);
    const fix = expected.includes('tensor') && holdsForeign(given[i]) ? FOREIGN_FIX : undefined;
    throw refuse(`${arg.name} must be ${expected}`, `it is ${kindOf(given[i])}`, fix);
  }
}

/** `x.slice(axis, start, end?, step?)` */
function usage(op: string, args: readonly Argument[], self: unknown): string {
  const list = args.map((arg) => `${arg.rest ? '…' : ''}${arg.name}${arg.optional ? '?' : ''}`);
  return `${nodeOf(self) ? 'x.' : ''}${op}(${list.join(', ')})`;
}

/** Type rules speak of ops of the IR, and what is made of others of those; the user wrote `op`. */
function named(error: DitcError, op: string): DitcError {
  const { code, what, where, why, fix } = error;
  const [, by, rule] = /^(\w+): (.*)$/s.exec(what) ?? [];
  if (!rule || by === op) return error;
  return new DitcError({ code, what: `${op}: ${rule}`, where: where ?? currentPlace(), why, fix }, { cause: error });
}
