/** What the weights, inputs and outputs of an ONNX network are called in a model: ONNX allows any text. */
import { elementCount, isFloat } from '../checkpoint/dtype.ts';
import type { GraphProto, TensorProto } from './messages.ts';
import { dtypeOf } from './tensor.ts';

/** Whether training would change it: single numbers and whole ones are constants of the network. */
export function isWeight({ dataType, dims }: TensorProto): boolean {
  const dtype = dtypeOf(dataType);
  return dtype !== undefined && isFloat(dtype) && elementCount(dims) > 1;
}

type Renamed = ReadonlyMap<string, string>;

/** Each by the file's name: the same, where it can be. No weight has the name of an input. */
export function modelNames({
  initializer,
  input,
  output,
}: GraphProto): Record<'inputs' | 'outputs' | 'weights', Renamed> {
  const stored = new Set(initializer.map(({ name }) => name));
  const free = new Set<string>();
  const inputs = renamed(
    input.map(({ name }) => name).filter((name) => !stored.has(name)),
    /^[^\p{L}]+/u,
    free,
  );
  const weights = renamed(
    initializer.filter(isWeight).map(({ name }) => name),
    /^[^\p{L}\d]+/u,
    free,
  );
  const outputs = renamed(
    output.map(({ name }) => name),
    /^[^\p{L}]+/u,
    new Set(),
  );
  return { inputs, outputs, weights };
}

/** File systems and ditc's names have less room than ONNX's. */
const MOST_LENGTH = 60;

/** `begin` is what a name cannot begin with. */
function renamed(given: readonly string[], begin: RegExp, taken: Set<string>): Renamed {
  return new Map(
    given.map((name) => {
      const plain = name.replace(/[^\p{L}\d_.-]+/gu, '_').replaceAll('-', begin.test('1') ? '_' : '-');
      const begun = plain.replace(/^_+/, '').replace(begin, 'value_$&');
      const short = [...begun].slice(0, MOST_LENGTH).join('') || 'value';
      let own = short;
      for (let n = 2; taken.has(own); n++) own = `${short}_${n}`;
      taken.add(own);
      return [name, own] as const;
    }),
  );
}
