/** `--noise FILE.npy` of `ditc sample`: what pictures are drawn from, instead of noise of the seed. */
import { DitcError } from '../../compiler/ir/error.ts';
import { describeNonFinite, findNonFinite } from '../../runtime/values.ts';
import { readNpy } from '../npy.ts';

/** The values, [count, …image] one after the other. @throws DitcError `input` for others. */
export async function readNoise(path: string, image: readonly number[], count: number): Promise<Float32Array> {
  const { shape, data, dtype } = await readNpy(path, 'noise');
  const fail = (what: string, why: string, fix: string) =>
    new DitcError({ code: 'input', where: path, what, why, fix });
  const holds = `the file holds ${dtype}[${shape.join(', ')}]`;
  if (shape.slice(1).join() !== image.join() || shape.length !== image.length + 1)
    throw fail(
      'it is no noise of this model',
      holds,
      `give float32 [N, ${image.join(', ')}], as ditc invert writes it`,
    );
  if (shape[0] !== count)
    throw fail(`${count} pictures cannot be drawn from it`, holds, `give --classes ${shape[0]} classes, one for each`);
  const values = Float32Array.from(data as ArrayLike<number>, Number);
  const found = findNonFinite(values);
  if (found) throw fail('it is no noise', describeNonFinite(shape, found), 'leave such pictures out');
  return values;
}
