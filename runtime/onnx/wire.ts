/**
 * Messages of protocol buffers, read by a description of their fields. The wire itself is pbf's; here is what it leaves open: a field of
 * another type than the description says, and a length that leaves its message, are errors, so that damage does not become values.
 */
import { PbfReader } from 'pbf';

/** How fields lie on the wire. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Messages within messages: ONNX has graphs within attributes of nodes of graphs. */
const MOST_DEPTH = 64;

/** What is wrong with the bytes, and where. */
export class WireError extends Error {
  constructor(
    what: string,
    readonly offset: number,
  ) {
    super(what);
  }
}

/** Where reading is: the reader, the end of the message at hand, and how many it lies within. */
interface Cursor {
  readonly pbf: PbfReader;
  readonly end: number;
  readonly depth: number;
}

/** What a field holds. */
export interface Kind<T> {
  readonly type: number;
  read(at: Cursor): T;
}

export const whole: Kind<number> = { type: VARINT, read: ({ pbf }) => pbf.readVarint(true) };
export const float: Kind<number> = { type: FIXED32, read: ({ pbf }) => pbf.readFloat() };
export const double: Kind<number> = { type: FIXED64, read: ({ pbf }) => pbf.readDouble() };
export const bytes: Kind<Uint8Array> = {
  type: BYTES,
  read(at) {
    const end = endOf(at);
    const start = at.pbf.pos;
    at.pbf.pos = end;
    return at.pbf.buf.subarray(start, end);
  },
};
const decoder = new TextDecoder();
export const text: Kind<string> = { type: BYTES, read: (at) => decoder.decode(bytes.read(at)) };

/** Reads a length, and gives where what it is of ends. */
function endOf({ pbf, end }: Cursor): number {
  const start = pbf.pos;
  const length = pbf.readVarint();
  if (pbf.pos + length > end) throw new WireError(`${length} bytes are announced, ${end - pbf.pos} are left`, start);
  return pbf.pos + length;
}

/** Puts what it reads into the message under construction. */
type Field<M> = (into: M, wireType: number, at: Cursor) => void;

/** A field of which the last one counts. */
export const one =
  <K extends string, T>(key: K, kind: Kind<T>): Field<Partial<Record<K, T>>> =>
  (into, wireType, at) => {
    checkType(wireType, kind.type, at);
    into[key] = kind.read(at);
  };

/** A list: one element a field, or of numbers many in one. */
export const many =
  <K extends string, T>(key: K, kind: Kind<T>): Field<Partial<Record<K, T[]>>> =>
  (into, wireType, at) => {
    const list = (into[key] ??= []);
    if (wireType === BYTES && kind.type !== BYTES) {
      const end = endOf(at);
      while (at.pbf.pos < end) list.push(kind.read({ ...at, end }));
      return;
    }
    checkType(wireType, kind.type, at);
    list.push(kind.read(at));
  };

function checkType(found: number, wanted: number, { pbf }: Cursor): void {
  if (found !== wanted) throw new WireError(`a field of type ${wanted} is stored as one of type ${found}`, pbf.pos);
}

/** A message: `fresh` makes an empty one, and `fields` are those that are read, by number. */
export const message = <M>(fresh: () => M, fields: () => Readonly<Record<number, Field<M>>>): Kind<M> => ({
  type: BYTES,
  read(at) {
    const depth = at.depth + 1;
    if (depth > MOST_DEPTH) throw new WireError(`messages lie within ${MOST_DEPTH} others`, at.pbf.pos);
    return readFields(fresh(), fields(), { pbf: at.pbf, end: endOf(at), depth });
  },
});

function readFields<M>(into: M, fields: Readonly<Record<number, Field<M>>>, at: Cursor): M {
  const { pbf, end } = at;
  while (pbf.pos < end) {
    const start = pbf.pos;
    const tag = pbf.readVarint();
    const [number, wireType] = [Math.floor(tag / 8), tag % 8];
    if (fields[number]) fields[number](into, wireType, at);
    else pbf.skip(wireType);
    // What pbf reads beyond the end is no value.
    if (!(pbf.pos <= end)) throw new WireError('a field leaves its message', start);
  }
  return into;
}

/** The message that the bytes are. @throws WireError */
export function readMessage<M>(from: Uint8Array, fresh: () => M, fields: Readonly<Record<number, Field<M>>>): M {
  const pbf = new PbfReader(from);
  try {
    return readFields(fresh(), fields, { pbf, end: from.length, depth: 0 });
  } catch (error) {
    if (error instanceof WireError) throw error;
    // pbf's own: a number beyond the end, a field of no type.
    throw new WireError(error instanceof Error ? error.message : String(error), pbf.pos);
  }
}
