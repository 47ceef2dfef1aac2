/** The pickle opcodes that push one constant: None, booleans, numbers, strings, bytes. */
import { quote } from '../error.ts';
import { narrow } from './pickle-reader.ts';
import type { PickleReader } from './pickle-reader.ts';

export type Literal = null | boolean | number | bigint | string | Uint8Array;

/** Protocol 0's decimal text; `00` and `01` are INT's booleans. */
function decimal(r: PickleReader, text: string, booleans: boolean): number | bigint | boolean {
  if (booleans && (text === '00' || text === '01')) return text === '01';
  if (!/^-?\d{1,300}$/.test(text)) r.fail(`${quote(text)} is not an integer`);
  return narrow(BigInt(text));
}

/** The constant that `opcode` pushes, its operand read from `r`; undefined when it is another kind of opcode. */
export function readLiteral(r: PickleReader, opcode: number, maxIntegerBytes: number): Literal | undefined {
  switch (opcode) {
    case 0x4e: // NONE
      return null;
    case 0x88: // NEWTRUE
      return true;
    case 0x89: // NEWFALSE
      return false;
    case 0x4b: // BININT1
      return r.u8();
    case 0x4d: // BININT2
      return r.u16();
    case 0x4a: // BININT
      return r.i32();
    case 0x49: // INT
      return decimal(r, r.line(), true);
    case 0x4c: // LONG
      return decimal(r, r.line().replace(/L$/, ''), false);
    case 0x8a: // LONG1
      return r.long(r.u8(), maxIntegerBytes);
    case 0x8b: // LONG4
      return r.long(r.i32(), maxIntegerBytes);
    case 0x47: // BINFLOAT
      return r.f64();
    case 0x58: // BINUNICODE
      return r.utf8(r.u32());
    case 0x8c: // SHORT_BINUNICODE
      return r.utf8(r.u8());
    case 0x8d: // BINUNICODE8
      return r.utf8(r.u64());
    case 0x55: // SHORT_BINSTRING
      return r.latin1(r.u8());
    case 0x54: // BINSTRING
      return r.latin1(r.u32());
    case 0x43: // SHORT_BINBYTES
      return r.take(r.u8());
    case 0x42: // BINBYTES
      return r.take(r.u32());
    case 0x8e: // BINBYTES8
    case 0x96: // BYTEARRAY8
      return r.take(r.u64());
    default:
      return undefined;
  }
}
