/** Watches weights on their way to the device for values that are infinite or NaN, or become so in the type they are kept in. */
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { decodeF32 } from './checkpoint/dtype.ts';
import { encodeValues } from './checkpoint/encode.ts';
import { RuntimeError } from './error.ts';
import { describeNonFinite, findNonFinite, type NonFinite } from './values.ts';

/** Half the spacing above the largest f16, 65504: from here on a value is infinite. */
const F16_END = 65520;

interface Found extends NonFinite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly overflows: boolean;
}

export class FiniteWatch {
  readonly #found: Found[] = [];

  async *through({ dtype, shape }: TensorSpec, name: string, chunks: AsyncIterable<Float32Array>) {
    let at = 0;
    let seen: NonFinite | undefined;
    let overflows = false;
    for await (const chunk of chunks) {
      let odd = findNonFinite(chunk, at);
      if (!odd && dtype === 'f16' && chunk.some((x) => Math.abs(x) >= F16_END)) {
        odd = findNonFinite(decodeF32('f16', encodeValues('f16', chunk, name)), at)!;
        odd.value = chunk[odd.first - at];
        overflows = true;
      }
      if (odd && seen) seen.count += odd.count;
      seen ??= odd;
      yield chunk;
      at += chunk.length;
    }
    if (seen) this.#found.push({ ...seen, name, shape, overflows });
  }

  /** The error for what was seen, if anything was. */
  error(file: string): RuntimeError | undefined {
    const [first, ...more] = this.#found;
    if (!first) return undefined;
    const others = more.length ? ` (and values of ${more.length} more tensors)` : '';
    const { name, shape, value, overflows } = first;
    if (overflows) {
      const what = `weight ${name} has values that f16 cannot hold`;
      const why = `the first is ${value}, beyond 65504${others}`;
      return new RuntimeError({ code: 'not-finite', where: file, what, why, fix: 'build it with --dtype f32' });
    }
    const what = `weight ${name} is not finite`;
    const fix = 'give weights that are; to go on all the same, --allow-non-finite';
    return new RuntimeError({
      code: 'not-finite',
      where: file,
      what,
      why: describeNonFinite(shape, first) + others,
      fix,
    });
  }
}
