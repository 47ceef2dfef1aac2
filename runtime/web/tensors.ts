/** Tensors out of chunks that come one behind the other: never more than a chunk in memory. */
import type { TensorSpec } from '../../compiler/emit/artefact.ts';
import { decodeF32 } from '../checkpoint/dtype.ts';
import type { Values } from '../transfer.ts';
import type { StoredTensor } from './model-file.ts';

/** Largest piece of a tensor that is decoded at a time. */
const PIECE_BYTES = 4 * 2 ** 20;

/** Bytes of a tensor's element in a chunk. */
const widthOf = (dtype: TensorSpec['dtype']): number => (dtype === 'f16' ? 2 : 4);

/** Its bytes, padded to whole words. */
export const bytesOf = ({ shape, dtype }: Pick<StoredTensor, 'shape' | 'dtype'>): number =>
  Math.ceil((shape.reduce((n, size) => n * size, 1) * widthOf(dtype)) / 4) * 4;

type Chunk = Uint8Array<ArrayBuffer>;

/** Reads what chunks bring, in order; a piece is whole words, and ends where a chunk does at the latest. */
export class ChunkReader {
  #rest: Chunk | undefined;

  /** `onUsed` is told the bytes of each piece once the next is asked for. */
  constructor(
    private readonly chunks: AsyncIterator<Chunk>,
    private readonly onUsed?: (bytes: number) => void,
  ) {}

  /** The elements of the tensor that comes next. */
  async *values(tensor: StoredTensor): AsyncGenerator<Values> {
    const count = tensor.shape.reduce((n, size) => n * size, 1);
    let elements = 0;
    for (let left = bytesOf(tensor); left > 0;) {
      const piece = await this.#piece(Math.min(left, PIECE_BYTES));
      left -= piece.length;
      const values = decoded(tensor.dtype, piece).subarray(0, count - elements);
      elements += values.length;
      yield values;
      this.onUsed?.(piece.length);
    }
  }

  async #piece(most: number): Promise<Chunk> {
    while (!this.#rest?.length) this.#rest = (await this.chunks.next()).value as Chunk;
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }
}

function decoded(dtype: TensorSpec['dtype'], bytes: Chunk): Values {
  if (dtype === 'f16') return decodeF32('f16', bytes);
  const type = dtype === 'f32' ? Float32Array : dtype === 'i32' ? Int32Array : Uint32Array;
  return new type(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
