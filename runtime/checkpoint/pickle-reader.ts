/** The pickle stream's cursor: bounds-checked reads of its numbers, strings and lines. */
import { RuntimeError } from '../error.ts';

/** Longest text line (GLOBAL's module and name, protocol 0 numbers), in bytes. */
const MAX_LINE = 1024;

export class PickleReader {
  at = 0;
  /** Start of the opcode being run, which is the position an error names. */
  opcodeAt = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly name: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The place of the current opcode, for errors. */
  get where(): string {
    return `${this.name} at byte ${this.opcodeAt}`;
  }

  /** Throws the error that every broken rule of the stream ends in. */
  fail(what: string, why?: string, fix?: string, code = 'bad-format'): never {
    throw new RuntimeError({
      code,
      where: this.where,
      what,
      why,
      fix: fix ?? 'the file is damaged or not a PyTorch checkpoint: download or save it again',
    });
  }

  take(count: number): Uint8Array {
    if (count > this.bytes.length - this.at) {
      const why = `${count} more bytes are needed, ${this.bytes.length - this.at} are left`;
      this.fail('the pickle ends too early', why, undefined, 'truncated');
    }
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  private skip(count: number): number {
    this.take(count);
    return this.at - count;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }
  u16(): number {
    return this.view.getUint16(this.skip(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }
  i32(): number {
    return this.view.getInt32(this.skip(4), true);
  }
  /** An 8-byte length; one beyond the stream fails in `take` whatever its rounding. */
  u64(): number {
    return Number(this.view.getBigUint64(this.skip(8), true));
  }
  /** Floats, alone in the format, are big-endian. */
  f64(): number {
    return this.view.getFloat64(this.skip(8), false);
  }

  utf8(length: number): string {
    const bytes = this.take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.fail('a string is not valid UTF-8');
    }
  }

  /** Python 2's byte strings. */
  latin1(length: number): string {
    const bytes = this.take(length);
    return new TextDecoder('latin1').decode(bytes);
  }

  line(): string {
    const end = this.bytes.subarray(this.at, this.at + MAX_LINE + 1).indexOf(10);
    if (end < 0) {
      const code = this.bytes.length - this.at > MAX_LINE ? 'bad-format' : 'truncated';
      this.fail('a text line does not end', `at most ${MAX_LINE} bytes are allowed`, undefined, code);
    }
    const text = this.utf8(end);
    this.at++;
    return text;
  }

  /** A two's-complement little-endian integer; a number where it is exact, else a bigint. */
  long(length: number, maxBytes: number): number | bigint {
    if (length > maxBytes || length < 0) {
      this.fail(`an integer takes ${length} bytes`, `at most ${maxBytes} are allowed`, undefined, 'limit');
    }
    const bytes = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return narrow(BigInt.asIntN(8 * length, value));
  }
}

/** A bigint as a number where that is exact. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
