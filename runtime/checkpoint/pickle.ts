/**
 * A pickle interpreter that executes nothing: it builds plain values, and the only names it resolves are those on the
 * caller's allow-list. Opcodes that no checkpoint needs (old-style instances, the extension registry, out-of-band
 * buffers) are refused. Every resource a hostile stream could exhaust is bounded, and nothing recurses.
 * Source: CPython's Lib/pickletools.py; torch.save writes protocol 2, others up to 5 are read as well.
 */
import { quote } from '../error.ts';
import { readLiteral } from './pickle-literals.ts';
import { PickleReader } from './pickle-reader.ts';
import { PickleGlobal, PickleObject, PickleTuple, withArticle } from './pickle-values.ts';
import type { PickleValue } from './pickle-values.ts';

/**
 * Generous for real files: DiT-XL/2's {model, ema, opt, args} takes about 60,000 opcodes. `containers` bounds memory,
 * as an empty Map costs some 200 bytes for the one byte that asks for it.
 */
export const PICKLE_LIMITS = {
  opcodes: 4_000_000,
  containers: 1_000_000,
  stack: 1_000_000,
  memo: 1_000_000,
  integerBytes: 128,
};

export interface PickleOptions {
  /** What to call the stream in errors. */
  name: string;
  /** The names the stream may use, by `module.name`. */
  globals: ReadonlyMap<string, PickleGlobal>;
  /** Meaning of a persistent id (BINPERSID). */
  persistentLoad?: (id: PickleValue, where: string) => PickleValue;
  /** Tighter bounds than {@link PICKLE_LIMITS}. */
  limits?: Partial<typeof PICKLE_LIMITS>;
}

/** One run over one stream. */
class Unpickler {
  private readonly stack: PickleValue[] = [];
  /** Stack heights at the open MARKs. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly limits: typeof PICKLE_LIMITS;
  private readonly r: PickleReader;
  private containers = 0;

  constructor(
    bytes: Uint8Array,
    private readonly options: PickleOptions,
  ) {
    this.r = new PickleReader(bytes, options.name);
    this.limits = { ...PICKLE_LIMITS, ...options.limits };
  }

  /** Bytes of the stream up to and with its STOP. */
  get length(): number {
    return this.r.at;
  }

  run(): PickleValue {
    for (let count = 0; count < this.limits.opcodes; count++) {
      this.r.opcodeAt = this.r.at;
      const opcode = this.r.u8();
      if (opcode === 0x2e) return this.pop(); // STOP
      const literal = readLiteral(this.r, opcode, this.limits.integerBytes);
      if (literal === undefined) this.step(opcode);
      else if (literal instanceof Uint8Array) this.pushNew(literal);
      else this.push(literal);
    }
    return this.tooMany('opcodes');
  }

  private tooMany(what: keyof typeof PICKLE_LIMITS): never {
    const fix = 'no ordinary checkpoint needs as many: do not trust this file';
    return this.r.fail(`too many ${what}`, `at most ${this.limits[what]} are allowed`, fix, 'limit');
  }

  private push(value: PickleValue): void {
    if (this.stack.length >= this.limits.stack) this.tooMany('stack');
    this.stack.push(value);
  }

  private pushNew(container: PickleValue): void {
    if (++this.containers > this.limits.containers) this.tooMany('containers');
    this.push(container);
  }

  private pop(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      this.r.fail('the stack is empty', 'an opcode needs a value on it');
    return this.stack.pop()!;
  }

  private top(): PickleValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  /** Everything above the last MARK, which is removed. */
  private popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) this.r.fail('there is no MARK', 'an opcode needs one on the stack');
    return this.stack.splice(mark);
  }

  private memoize(index: number): void {
    const value = this.top();
    if (this.memo.size >= this.limits.memo && !this.memo.has(index)) this.tooMany('memo');
    this.memo.set(index, value);
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.r.fail(`memo entry ${index} is not set`);
    this.push(value);
  }

  private tuple(count: number): void {
    if (this.stack.length - (this.marks.at(-1) ?? 0) < count) {
      this.r.fail('the stack is too short', `an opcode needs ${count} values on it`);
    }
    this.pushNew(new PickleTuple(this.stack.splice(this.stack.length - count)));
  }

  private global(module: string, name: string): void {
    const full = `${module}.${name}`;
    const found = this.options.globals.get(full);
    if (!found) {
      const why = 'unpickling it could run code, so only the names a checkpoint needs are allowed';
      const fix = "save only tensors: torch.save({k: v for k, v in model.state_dict().items()}, 'weights.pt')";
      this.r.fail(`it uses ${quote(full)}`, why, fix, 'forbidden-global');
    }
    this.push(found);
  }

  private call(callable: PickleValue, args: PickleValue): void {
    if (!(args instanceof PickleTuple)) this.r.fail(`call arguments are ${withArticle(args)}`, 'they must be a tuple');
    if (!(callable instanceof PickleGlobal) || !callable.construct) {
      this.r.fail(`${withArticle(callable)} is called`, 'only the constructors on the allow-list can be', undefined);
    }
    this.pushNew(callable.construct(args.items, this.r.where));
  }

  private setItems(target: PickleValue, items: PickleValue[]): void {
    if (!(target instanceof Map)) this.r.fail(`items are set on ${withArticle(target)}`, 'they need a dict');
    if (items.length % 2 !== 0) this.r.fail('a dict item has a key and no value');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (typeof key === 'object' && key !== null && !(key instanceof PickleTuple)) {
        this.r.fail(`a dict key is ${withArticle(key)}`, 'keys must be strings, numbers or tuples');
      }
      target.set(key, items[i + 1]);
    }
  }

  private append(target: PickleValue, items: PickleValue[]): void {
    if (!Array.isArray(target)) this.r.fail(`items are appended to ${withArticle(target)}`, 'they need a list');
    for (const item of items) target.push(item);
  }

  /** BUILD: an object's `__dict__`. An OrderedDict's (state_dict's `_metadata`) says nothing about the weights. */
  private build(state: PickleValue): void {
    const target = this.top();
    if (target instanceof PickleObject) {
      if (!(state instanceof Map)) this.r.fail(`the state of a ${target.className} is ${withArticle(state)}`);
      for (const [key, value] of state) target.attributes.set(key, value);
    } else if (!(target instanceof Map))
      this.r.fail(`${withArticle(target)} is given attributes`, 'it cannot have any');
  }

  private persistent(): void {
    const load = this.options.persistentLoad;
    if (!load) this.r.fail('it uses a persistent id', 'only a .pt archive has storages beside the pickle');
    this.push(load(this.pop(), this.r.where));
  }

  /** Runs one opcode that is not a literal. */
  private step(opcode: number): void {
    const r = this.r;
    switch (opcode) {
      case 0x80: // PROTO
        return void (r.u8() <= 5 || r.fail('the pickle protocol is unknown', 'protocols up to 5 are read'));
      case 0x95: // FRAME: a hint for buffered readers
        return void r.u64();
      case 0x28: // MARK
        if (this.marks.length >= this.limits.stack) this.tooMany('stack');
        return void this.marks.push(this.stack.length);
      case 0x30: // POP takes a MARK where one is on top
        if (this.marks.length > 0 && this.marks.at(-1) === this.stack.length) return void this.marks.pop();
        return void this.pop();
      case 0x31: // POP_MARK
        return void this.popMark();
      case 0x32: // DUP
        return this.push(this.top());
      // Containers
      case 0x7d: // EMPTY_DICT
        return this.pushNew(new Map());
      case 0x5d: // EMPTY_LIST
        return this.pushNew([]);
      case 0x8f: // EMPTY_SET
        return this.pushNew(new Set());
      case 0x29: // EMPTY_TUPLE
        return this.tuple(0);
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.tuple(opcode - 0x84);
      case 0x74: // TUPLE
        return this.pushNew(new PickleTuple(this.popMark()));
      case 0x6c: // LIST
        return this.pushNew(this.popMark());
      case 0x64: {
        // DICT
        const items = this.popMark();
        this.pushNew(new Map());
        return this.setItems(this.top(), items);
      }
      case 0x91: // FROZENSET
        return this.pushNew(new Set(this.popMark()));
      case 0x61: {
        // APPEND
        const item = this.pop();
        return this.append(this.top(), [item]);
      }
      case 0x65: {
        // APPENDS
        const items = this.popMark();
        return this.append(this.top(), items);
      }
      case 0x73: {
        // SETITEM
        const value = this.pop();
        const key = this.pop();
        return this.setItems(this.top(), [key, value]);
      }
      case 0x75: {
        // SETITEMS
        const items = this.popMark();
        return this.setItems(this.top(), items);
      }
      case 0x90: {
        // ADDITEMS
        const items = this.popMark();
        const target = this.top();
        if (!(target instanceof Set)) return r.fail(`items are added to ${withArticle(target)}`, 'they need a set');
        for (const item of items) target.add(item);
        return;
      }
      // Memo
      case 0x71: // BINPUT
        return this.memoize(r.u8());
      case 0x72: // LONG_BINPUT
        return this.memoize(r.u32());
      case 0x94: // MEMOIZE
        return this.memoize(this.memo.size);
      case 0x68: // BINGET
        return this.recall(r.u8());
      case 0x6a: // LONG_BINGET
        return this.recall(r.u32());
      // Names and objects
      case 0x63: // GLOBAL
        return this.global(r.line(), r.line());
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        const module = this.pop();
        if (typeof name !== 'string' || typeof module !== 'string') return r.fail('a global is not named by strings');
        return this.global(module, name);
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ: `cls.__new__(cls, *args)`, the same as a call for every class on the list
        const args = this.pop();
        return this.call(this.pop(), args);
      }
      case 0x62: // BUILD
        return this.build(this.pop());
      case 0x51: // BINPERSID
        return this.persistent();
      default: {
        const code = `0x${opcode.toString(16).padStart(2, '0')}`;
        return r.fail(
          `opcode ${code} is not supported`,
          'no checkpoint that torch.save writes uses it',
          undefined,
          'unsupported',
        );
      }
    }
  }
}

/**
 * The value of a pickle stream.
 * @throws RuntimeError `forbidden-global`, `truncated`, `limit`, `unsupported` or `bad-format`, with the byte offset.
 */
export function unpickle(bytes: Uint8Array, options: PickleOptions): PickleValue {
  return new Unpickler(bytes, options).run();
}

/** The value of the stream that `bytes` begin with, and how many of them it takes. @throws as {@link unpickle}. */
export function unpickleFirst(bytes: Uint8Array, options: PickleOptions): { value: PickleValue; length: number } {
  const unpickler = new Unpickler(bytes, options);
  const value = unpickler.run();
  return { value, length: unpickler.length };
}
