/** What a model is told of each example besides its class, such as the embedding of a text: values of inputs, by the example's number. */
import type { InputSpec } from '../../compiler/emit/artefact.ts';
import { RuntimeError } from '../error.ts';
import type { Values } from '../transfer.ts';

/** Values by the name of the input. */
export type Told = Readonly<Record<string, Values>>;

export interface ToldOfExamples {
  readonly names: readonly string[];
  /** Changes when what is told does. */
  readonly fingerprint: string;
  /** Not to be written to: it may be a cache's. @throws RuntimeError `bad-example` when those of this one cannot be read. */
  read(index: number): Promise<Told>;
  close(): Promise<void>;
}

/** Inputs of `trainStep` that the loop of a training sets itself. */
const OWN = ['images', 'labels', 'seed', 'first'];

/** The inputs of which each example has a row, of those of `trainStep`. */
export function toldInputs(inputs: readonly InputSpec[]): InputSpec[] {
  const batch = inputs.find(({ name }) => name === 'images')?.shape[0];
  const isTold = ({ name, dtype, shape }: InputSpec) =>
    !OWN.includes(name) && shape[0] === batch && (dtype === 'f32' || dtype === 'i32');
  return inputs.filter(isTold);
}

/** Some of the examples, by their numbers in the whole. Closing it leaves the whole open. */
export const toldOfPart = ({ names, fingerprint, read }: ToldOfExamples, numbers: ArrayLike<number>) => ({
  names,
  fingerprint,
  read: (index: number) => read(numbers[index]),
  close: async () => {},
});

/** What is in memory, a row for each example or one for all. @throws RuntimeError `bad-argument` for what does not fit the examples. */
export function toldInMemory(
  inputs: readonly InputSpec[],
  given: Readonly<Record<string, ArrayLike<number>>>,
  count: number,
): ToldOfExamples | undefined {
  const wanted = toldInputs(inputs);
  const argument = (what: string, why: string | undefined, fix: string) =>
    new RuntimeError({ code: 'bad-argument', what, why, fix });
  const other = Object.keys(given).find((name) => !wanted.some((input) => input.name === name));
  if (other !== undefined) {
    const known = wanted.map(({ name }) => name).join(', ') || 'none';
    throw argument(`examples have no input ${other}`, `those that they have are: ${known}`, 'leave it out');
  }
  const rows = wanted.map(({ name, dtype, shape }) => {
    const size = shape.slice(1).reduce((a, b) => a * b, 1);
    const values = given[name] as ArrayLike<number> | undefined;
    const one = values?.length === size;
    if (!one && values?.length !== size * count) {
      const why = `it has ${values?.length ?? 'no'} values; ${count} examples have ${size} each`;
      throw argument(`input ${name} does not fit the examples`, why, `give a row for each, in data.inputs.${name}`);
    }
    const typed = dtype === 'i32' ? Int32Array.from(values!) : Float32Array.from(values!);
    return [name, (index: number) => typed.subarray(one ? 0 : index * size, one ? size : (index + 1) * size)] as const;
  });
  if (!rows.length) return undefined;
  return {
    names: rows.map(([name]) => name),
    fingerprint: 'in memory',
    read: async (index) => Object.fromEntries(rows.map(([name, row]) => [name, row(index)])),
    close: async () => {},
  };
}

/** Sets the row of the `place`-th of `batch` examples in what is told of them all. */
export function writeTold(out: Record<string, Values>, batch: number, place: number, told: Told): void {
  for (const [name, row] of Object.entries(told)) {
    const Type = row.constructor as new (length: number) => Values;
    (out[name] ??= new Type(batch * row.length)).set(row, place * row.length);
  }
}
