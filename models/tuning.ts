/**
 * What of a model a training changes: everything, the parameters of some layers, or low-rank steps beside their matrices, which stay as
 * they are: W + B·A (LoRA, Hu et al. 2021, equation 3, with α equal to the rank). The steps are state: `lora_A.<param>`, `lora_B.<param>`.
 */
import { uniform, type Entry, type EntryOptions, type Tensor } from '../compiler/dsl/index.ts';
import { misconfigured, wholeNumber } from './config.ts';

export interface TuningOptions {
  /** Patterns of names, with commas between: `blocks.*.attn.qkv` is all of every block's qkv. Empty: all parameters. */
  readonly train: string;
  /** Rank of the steps beside matrices; 0: the parameters themselves are trained. */
  readonly lora: number;
}

/** A value that the optimiser changes: a parameter, or a part of a step. */
export interface Trained {
  readonly name: string;
  readonly value: Tensor;
}

/** The options of an entry, checked. @throws DitcError `config`. */
export function tuningOptions({ train = '', lora = 0 }: EntryOptions): TuningOptions {
  if (typeof train !== 'string')
    throw misconfigured(`train is ${JSON.stringify(train)}`, undefined, "give patterns of names: 'blocks.*.attn.qkv'");
  return { train, lora: wholeNumber('lora', lora, 0) };
}

const patternsOf = ({ train }: TuningOptions): string[] =>
  train
    .split(',')
    .map((pattern) => pattern.trim())
    .filter(Boolean);

/** Whether a name is that of the pattern, or lies below it; `*` is any name between dots, or a part of one. */
function matches(pattern: string, name: string): boolean {
  const literal = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^.]*');
  return new RegExp(`^${literal}(\\..*)?$`).test(name);
}

function isChosen(options: TuningOptions, name: string): boolean {
  const patterns = patternsOf(options);
  return !patterns.length || patterns.some((pattern) => matches(pattern, name));
}

/**
 * Has the entry read matrices with their steps added, from here on. What has more axes is taken as a matrix of the first by all others.
 * B begins at zero, so that training begins with the model as it is, and A as a linear layer does in PyTorch.
 */
export function addLowRank(e: Entry, options: TuningOptions): void {
  if (!options.lora) return;
  e.adapt((name, value) => {
    if (value.rank < 2 || !isChosen(options, name)) return value;
    const [a, b] = stepOf(e, name, value, options);
    return value.add(b.value.matmul(a.value).reshape(...value.shape));
  });
}

/** A [rank, in] and B [out, rank]. */
function stepOf(e: Entry, name: string, { shape: [out, ...others] }: Tensor, { lora }: TuningOptions): Trained[] {
  const width = others.reduce((a, b) => a * b);
  const state = (part: string, shape: [number, number], bound: number): Trained => {
    const full = `lora_${part}.${name}`;
    return { name: full, value: e.state(full, shape, 'f32', uniform(bound)) };
  };
  return [state('A', [lora, width], 1 / Math.sqrt(width)), state('B', [out, lora], 0)];
}

/** What is trained, of the parameters declared so far. @throws DitcError `config` for a pattern that is none of theirs. */
export function trainedOf(e: Entry, options: TuningOptions): Trained[] {
  const parameters = e.parameters();
  for (const pattern of patternsOf(options))
    if (!parameters.some(({ name }) => matches(pattern, name))) throw noSuch(pattern, parameters);
  const chosen = parameters.filter(({ name, frozen }) => !frozen && isChosen(options, name));
  const matrices = chosen.filter(({ value }) => value.rank > 1);
  const trained = options.lora ? matrices.flatMap(({ name, value }) => stepOf(e, name, value, options)) : chosen;
  if (trained.length || !(options.train || options.lora)) return trained;
  const why = options.lora ? 'lora trains steps beside matrices' : 'training leaves those as they are';
  throw misconfigured(`train is ${options.train}, which has nothing to train`, why, 'add layers to it');
}

function noSuch(pattern: string, parameters: readonly { readonly name: string }[]) {
  const layers = [...new Set(parameters.map(({ name }) => name.replace(/\.[^.]*$/, '').replace(/\.\d+\b/g, '.*')))];
  return misconfigured(`train: no parameter is called ${pattern}`, undefined, `use some of ${layers.join(', ')}`);
}
