/** What a model is told of each picture besides its class: inputs of `sampleStep` that the sampling loop does not know. */
import type { InputSpec } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';
import type { Program } from './program.ts';
import type { Values } from './transfer.ts';

/** Values of such inputs by name, a row for each picture; or one for all. */
export type Given = Readonly<Record<string, Values>>;

/** What the loop writes itself. */
const OWN = ['seed', 'first', 'y', 'cfgScale'];
const isOwn = ({ name, shape }: Pick<InputSpec, 'name' | 'shape'>): boolean =>
  OWN.includes(name) || (name === 'steps' && !shape.length);

const sizeOf = ({ shape }: Pick<InputSpec, 'shape'>): number => shape.slice(1).reduce((a, b) => a * b, 1);

/** The inputs that somebody has to give, of those of the entry. */
export const wantedOf = <T extends Pick<InputSpec, 'name' | 'shape'>>(inputs: readonly T[]): T[] => [
  ...new Map(inputs.filter((input) => !isOwn(input)).map((input) => [input.name, input])).values(),
];

/** Throws unless there is a row for each picture, or one for all, of each input that is wanted. */
export function checkGiven(inputs: readonly InputSpec[], given: Given, count: number): void {
  const wanted = wantedOf(inputs);
  const argument = (what: string, why: string | undefined, fix: string) =>
    new RuntimeError({ code: 'bad-argument', what, why, fix });
  const list = wanted.map(({ name }) => name).join(', ') || 'none';
  for (const name of Object.keys(given))
    if (!wanted.some((input) => input.name === name))
      throw argument(`there is no input ${name} to give`, `those that pictures have are: ${list}`, 'leave it out');
  for (const input of wanted) {
    const [each, { name }] = [sizeOf(input), input];
    if (given[name] === undefined)
      throw argument(
        `input ${name} is missing`,
        `each picture has ${each} values of it`,
        `give ${name}, a row for each`,
      );
    const { length } = given[name];
    if (length === each || length === count * each) continue;
    const why = `${length} values, and ${count} pictures have ${each} each`;
    throw argument(`input ${name} does not fit the pictures`, why, 'give a row for each picture, or one for all');
  }
}

/** The rows of pictures `first` and after. */
export function givenFrom(inputs: readonly InputSpec[], given: Given, first: number): Given {
  const sizes = new Map(wantedOf(inputs).map((input) => [input.name, sizeOf(input)]));
  const rest = (name: string, values: Values): Values => {
    const each = sizes.get(name) ?? 0;
    return values.length === each ? values : values.subarray(first * each);
  };
  return Object.fromEntries(Object.entries(given).map(([name, values]) => [name, rest(name, values)]));
}

/** Writes the rows of pictures `from` … as those of the batch; pictures past the last are told what the last is. */
export function writeGiven(program: Program, inputs: readonly InputSpec[], given: Given, from: number): void {
  for (const input of wantedOf(inputs)) {
    const [each, values] = [sizeOf(input), given[input.name]];
    const rows = values.length / each;
    const made =
      values instanceof Float32Array ? new Float32Array(input.shape[0] * each) : new Int32Array(input.shape[0] * each);
    for (let i = 0; i < input.shape[0]; i++) {
      const row = Math.min(from + i, rows - 1);
      made.set(values.subarray(row * each, (row + 1) * each), i * each);
    }
    program.write(input.name, made);
  }
}
