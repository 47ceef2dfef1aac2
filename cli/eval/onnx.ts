/** A network of others', an ONNX file, as one that pictures are compared by. */
import { constant, defineModel, resize, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { DitcError, formatShape } from '../../compiler/ir/index.ts';
import type { InputSpec } from '../../library/onnx/inputs.ts';
import { onnxName, readOnnx, type OnnxNetwork } from '../../library/onnx/load.ts';
import { inMemory, type LoadedModel } from '../model.ts';
import { ENTRY, OUTPUTS, type Output } from './network.ts';

/** Which of the network's values is which: by their names in the file. */
export type Named = Readonly<Partial<Record<Output, string>>>;

/** What black and white are to the network, or each channel's mean and deviation of what lies between 0 and 1. */
export const PIXELS = {
  '0,255': { mean: [0, 0, 0], deviation: [1 / 255, 1 / 255, 1 / 255] },
  '0,1': { mean: [0, 0, 0], deviation: [1, 1, 1] },
  '-1,1': { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] },
  imagenet: { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
} as const;
export type Pixels = keyof typeof PIXELS;

export interface OnnxFeatures {
  readonly loaded: LoadedModel;
  /** Pictures at once, where the file fixes that. */
  readonly batch?: number;
}

/** @throws DitcError naming the file where it takes no pictures, or does not compute what is named. */
export function onnxFeatures(path: string, named: Named, pixels: Pixels = '0,255'): OnnxFeatures {
  const network = readOnnx(path);
  const wanted = wantedOf(network, named);
  const input = pictureInput(network);
  const model = defineModel({
    config: {},
    options: { height: 256, width: 256 },
    entries: { [ENTRY]: (e) => featuresOf(e, network, { input, wanted, pixels }) },
  });
  const [batch] = input.sizes;
  return {
    loaded: { ...inMemory(model, onnxName(path), path), weights: path },
    batch: typeof batch === 'number' ? batch : undefined,
  };
}

/** Outputs by the names that ditc’s own networks have for them; a network of one gives features. */
function wantedOf({ outputs, where }: OnnxNetwork, named: Named): Named {
  const own = [...outputs.keys()];
  const found = Object.fromEntries(OUTPUTS.flatMap((name) => (own.includes(name) ? [[name, name]] : [])));
  const wanted: Named = { ...found, ...(own.length === 1 && !found.pool ? { pool: own[0] } : {}), ...named };
  if (wanted.pool !== undefined) return wanted;
  const why = `its outputs are ${own.join(', ')}`;
  const fix = 'name the features: --output pool=NAME, an output or any value within';
  throw new DitcError({ code: 'entry', where, what: 'it is not said which of its values are features', why, fix });
}

/** Pictures [N,3,H,W], or with their channels last. */
function pictureInput({ inputs, where }: OnnxNetwork): InputSpec {
  const [input, ...others] = inputs;
  const isPicture = input && !others.length && input.sizes.length === 4 && channelAxis(input) !== undefined;
  if (isPicture) return input;
  const why = `it takes ${inputs.map(({ name, sizes }) => `${name} ${formatShape(sizes as number[])}`).join(', ')}`;
  const fix = 'export it with one input [N,3,H,W]';
  throw new DitcError({ code: 'entry', where, what: 'it does not take pictures', why, fix });
}

/** Where a picture’s colours lie; a size that is left open may be theirs. */
function channelAxis({ sizes }: InputSpec): 1 | 3 | undefined {
  if (sizes[1] === 3 || (typeof sizes[1] === 'string' && sizes[3] !== 3)) return 1;
  return sizes[3] === 3 ? 3 : undefined;
}

interface Use {
  readonly input: InputSpec;
  readonly wanted: Named;
  readonly pixels: Pixels;
}

function featuresOf(e: Entry, network: OnnxNetwork, { input, wanted, pixels }: Use): Record<string, Tensor> {
  const [height, width] = [Number(e.options.height), Number(e.options.width)];
  const x = e.input('x', [e.batch, 3, height, width]);
  const given = prepared(x, input, pixels);
  const names = Object.values(wanted);
  const found = network.write(e, new Map([[input.file, given]]), names);
  const entries = Object.entries(wanted) as [Output, string][];
  return Object.fromEntries(
    entries.map(([output, name]) => [output, flat(output, name, found.get(name)!, network.where)]),
  );
}

/** Pictures of bytes as the network takes them: scaled, as pytorch-fid does, where it takes one size alone. */
function prepared(x: Tensor, input: InputSpec, pixels: Pixels): Tensor {
  const isLast = channelAxis(input) === 3;
  const sides = isLast ? input.sizes.slice(1, 3) : input.sizes.slice(2);
  const size = sides.map((side, i) => (typeof side === 'number' ? side : x.shape[2 + i])) as [number, number];
  const { mean, deviation } = PIXELS[pixels];
  const scaled = size.some((side, i) => side !== x.shape[2 + i]) ? resize(x, size, { mode: 'bilinear' }) : x;
  const channels = (values: readonly number[]) => constant([...values], [3, 1, 1]);
  const ranged = pixels === '0,255' ? scaled : scaled.div(255).sub(channels(mean)).div(channels(deviation));
  return (isLast ? ranged.permute(0, 2, 3, 1) : ranged).cast(input.dtype);
}

/** ADM’s evaluator takes as many of a picture’s channels for sFID. */
const SPATIAL_CHANNELS = 7;

/** [N,d]: of a value by place, `pool` is the mean, and `spatial` the first channels, pixel by pixel. */
function flat(output: Output, name: string, x: Tensor, where: string): Tensor {
  if (x.rank === 2) return x;
  const N = x.shape[0];
  if (x.rank === 4 && output === 'pool') return x.mean([2, 3]);
  if (x.rank === 4 && output === 'spatial') return x.slice(1, 0, SPATIAL_CHANNELS).permute(0, 2, 3, 1).reshape(N, -1);
  if (x.rank > 2 && x.shape.slice(2).every((size) => size === 1)) return x.reshape(N, -1);
  const what = `${name} is ${formatShape(x.shape)}, and ${output} is a row for each picture`;
  throw new DitcError({ code: 'entry', where, what, fix: 'name a value [N,d], or of pictures [N,d,h,w]' });
}
