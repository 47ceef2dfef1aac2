/** `--input NAME=FILE` of `ditc sample`: what a model is told of each picture besides its class, such as a text's embedding. */
import type { InputSpec } from '../../compiler/emit/artefact.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { wantedOf, type Given } from '../../runtime/conditions.ts';
import { openFile } from '../../runtime/node/file.ts';
import type { NpyArray } from '../../runtime/checkpoint/npy.ts';
import { UsageError } from '../errors.ts';
import { checkInputFiles } from '../input-files.ts';
import { inputValues, readNpy } from '../npy.ts';

/** The rows of the files, of so many pictures. `inputs` are those of a step of batch 1. */
export async function readConditions(
  inputs: readonly InputSpec[],
  files: ReadonlyMap<string, string>,
  count: number,
): Promise<Given> {
  const wanted = wantedOf(inputs);
  checkInputFiles(wanted, files, count);
  const rows = wanted.map(async (spec) => {
    const path = files.get(spec.name)!;
    const array = await readRows(path, spec.name);
    const first = array.shape[0] === 1 ? 1 : count;
    return [
      spec.name,
      inputValues({ ...spec, shape: [first, ...spec.shape.slice(1)] }, array, path, NO_BATCH),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(rows));
}

/** Rows are pictures: another batch would not make them fit. */
const NO_BATCH = 0;

/** Of `.npy` and `.npz`, or the tensor of that name in a `.safetensors`. */
async function readRows(path: string, name: string): Promise<NpyArray> {
  if (!/\.safetensors$/i.test(path)) return readNpy(path, name);
  const file = await openSafetensors(await openFile(path));
  try {
    const tensor = file.tensors.get(name);
    if (!tensor) {
      const why = `it has ${[...file.tensors.keys()].slice(0, 5).join(', ') || 'none'}`;
      throw new UsageError({ what: `${path} has no tensor ${name}`, why, fix: `save it as ${name}` });
    }
    const { dtype, shape } = tensor;
    const isWhole = dtype === 'i32';
    return {
      dtype: isWhole ? 'i32' : 'f32',
      shape: [...shape],
      data: isWhole ? await file.readI32(name) : await file.readF32(name),
    };
  } finally {
    await file.close();
  }
}
