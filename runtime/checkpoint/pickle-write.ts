/** Pickle streams (protocol 2) of what torch.save writes: strings, whole numbers, tuples, names and calls of them. */

const encoder = new TextEncoder();

export class PickleWriter {
  readonly #parts: Uint8Array[] = [Uint8Array.of(0x80, 2)];

  #op(...bytes: number[]): this {
    this.#parts.push(Uint8Array.from(bytes));
    return this;
  }

  text(value: string): this {
    const bytes = encoder.encode(value);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length, true);
    this.#op(0x58, ...length);
    this.#parts.push(bytes);
    return this;
  }

  /** A whole number from 0 that is exact. */
  count(value: number): this {
    if (value < 256) return this.#op(0x4b, value);
    if (value < 65536) return this.#op(0x4d, value & 255, value >> 8);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    return value < 2 ** 31 ? this.#op(0x4a, ...bytes.subarray(0, 4)) : this.#op(0x8a, 8, ...bytes);
  }

  false(): this {
    return this.#op(0x89);
  }

  global(module: string, name: string): this {
    this.#op(0x63);
    this.#parts.push(encoder.encode(`${module}\n${name}\n`));
    return this;
  }

  /** A tuple of what `items` writes. */
  tuple(items: (to: this) => void): this {
    this.#op(0x28);
    items(this);
    return this.#op(0x74);
  }

  counts(values: readonly number[]): this {
    return this.tuple(() => values.forEach((value) => this.count(value)));
  }

  /** Calls the name written last but one with the tuple written last. */
  call(): this {
    return this.#op(0x52);
  }

  /** An `OrderedDict` of the keys and values, in turn, that `items` writes. */
  orderedDict(items?: (to: this) => void): this {
    this.global('collections', 'OrderedDict').#op(0x29).call();
    if (!items) return this;
    this.#op(0x28);
    items(this);
    return this.#op(0x75);
  }

  /** A persistent id: the tuple written last. */
  persistent(): this {
    return this.#op(0x51);
  }

  /** The whole stream. */
  end(): Uint8Array {
    this.#op(0x2e);
    const out = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}
