/**
 * What an unpickled stream is made of. Python's types are kept apart where a checkpoint needs to tell them apart; nothing
 * here can run code. dict → Map, list → array, set → Set, int → number (bigint beyond 2^53), bytes → Uint8Array.
 */

/** An immutable sequence; as a dict key it compares by identity, which no checkpoint relies on. */
export class PickleTuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** What calling an allowed name makes of its arguments; `where` (stream and byte) begins its errors. */
export type PickleConstructor = (args: readonly PickleValue[], where: string) => PickleValue;

/** A name on the allow-list. `construct` is what calling it means; without it, it can only be passed along. */
export class PickleGlobal {
  constructor(
    readonly name: string,
    readonly construct?: PickleConstructor,
  ) {}
}

/** An object kept as its class name and attributes, such as `argparse.Namespace`. */
export class PickleObject {
  readonly attributes = new Map<PickleValue, PickleValue>();
  constructor(readonly className: string) {}
}

/** Something of the caller's: what `persistentLoad` or a constructor returned. */
export abstract class PickleExternal {
  /** For messages. */
  abstract readonly kind: string;
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | PickleTuple
  | PickleGlobal
  | PickleObject
  | PickleExternal;

/** Python's name for a value's type, for messages. */
function typeName(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'string') return 'str';
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof Set) return 'set';
  if (value instanceof PickleTuple) return 'tuple';
  if (value instanceof PickleGlobal) return value.name;
  if (value instanceof PickleObject) return value.className;
  return value.kind;
}

/** `an int`, `a dict`, `None`: {@link typeName} within a sentence. */
export function withArticle(value: PickleValue | undefined): string {
  const name = typeName(value);
  if (value === undefined || value === null) return name;
  return `${/^[aeio]/.test(name) ? 'an' : 'a'} ${name}`;
}
