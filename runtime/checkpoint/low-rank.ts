/**
 * Low-rank steps beside matrices: W + s·B·A (LoRA, Hu et al. 2021), merged into weights, and written and read by the names that
 * PEFT gives them: `<layer>.lora_A.weight` [rank, in] and `<layer>.lora_B.weight` [out, rank] for `<layer>.weight`.
 */
import { RuntimeError, quote } from '../error.ts';
import { elementCount } from './dtype.ts';
import { encodeValues } from './encode.ts';
import { checkElements, type TensorFile, type TensorInfo } from './source.ts';

/** A matrix's step: A [rank, in], B [out, rank], row by row. A tensor of more axes is a matrix of its first by all others. */
export interface LowRank {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
  /** What the product is multiplied by: α/rank. */
  readonly scale: number;
}

/** Adds the elements of the step from `first` on to as many values. */
export function addStep(values: Float32Array, first: number, { a, b, rank, scale }: LowRank): Float32Array {
  const width = a.length / rank;
  for (let i = 0; i < values.length; i++) {
    const [row, column] = [Math.floor((first + i) / width), (first + i) % width];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += b[row * rank + r] * a[r * width + column];
    values[i] += scale * sum;
  }
  return values;
}

/** What PEFT calls both parts of a parameter's step. */
export const adapterNames = (param: string): { readonly a: string; readonly b: string } => {
  const layer = param.replace(/\.weight$/, '');
  return { a: `${layer}.lora_A.weight`, b: `${layer}.lora_B.weight` };
};

/** A file whose tensors of these names have steps added. Closing it closes the file. */
class Merged implements TensorFile {
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  constructor(
    private readonly file: TensorFile,
    private readonly steps: ReadonlyMap<string, () => Promise<LowRank>>,
  ) {
    this.tensors = file.tensors;
  }

  get name(): string {
    return this.file.name;
  }
  get unread(): TensorFile['unread'] {
    return this.file.unread;
  }
  get metadata(): Record<string, string> {
    return this.file.metadata;
  }
  get config(): TensorFile['config'] {
    return this.file.config;
  }

  originsOf(name: string): readonly string[] {
    return this.file.originsOf?.(name) ?? [name];
  }

  async *readF32Chunks(name: string, size?: number): AsyncGenerator<Float32Array> {
    const step = await this.steps.get(name)?.();
    let at = 0;
    for await (const chunk of this.file.readF32Chunks(name, size)) {
      yield step ? addStep(chunk, at, step) : chunk;
      at += chunk.length;
    }
  }

  async readF32Range(name: string, first: number, count: number): Promise<Float32Array> {
    const values = await this.file.readF32Range(name, first, count);
    const step = await this.steps.get(name)?.();
    return step ? addStep(values, first, step) : values;
  }

  readF32(name: string): Promise<Float32Array> {
    const info = this.tensors.get(name);
    return info && this.steps.has(name)
      ? this.readF32Range(name, 0, elementCount(info.shape))
      : this.file.readF32(name);
  }

  readI32(name: string): Promise<Int32Array> {
    return this.file.readI32(name);
  }

  async *readRaw(name: string, first = 0, count?: number): AsyncGenerator<Uint8Array> {
    const info = this.tensors.get(name);
    if (!info || !this.steps.has(name)) return yield* this.file.readRaw(name, first, count);
    const total = elementCount(info.shape);
    const end = count === undefined ? total : first + count;
    checkElements(this.name, name, total, first, end - first);
    for (let at = first; at < end; at += CHUNK)
      yield encodeValues(info.dtype, await this.readF32Range(name, at, Math.min(CHUNK, end - at)), name);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Elements merged at a time: 4 MiB. */
const CHUNK = 2 ** 20;

/** The step of each tensor that has one is read once, when the tensor is. */
export function mergeSteps(file: TensorFile, steps: ReadonlyMap<string, () => Promise<LowRank>>): TensorFile {
  return steps.size ? new Merged(file, steps) : file;
}

/** Reads a step from the tensors that hold its parts. */
export async function readStep(file: TensorFile, a: string, b: string, scale: number): Promise<LowRank> {
  const rank = file.tensors.get(a)!.shape[0];
  return { a: await file.readF32(a), b: await file.readF32(b), rank, scale };
}

/**
 * The weights of a file with the steps of an adapter added, which PEFT or `ditc train --lora` wrote.
 * @throws RuntimeError `mismatch` where they do not go together.
 */
export function mergeAdapter(
  file: TensorFile,
  adapter: TensorFile,
  scale: number,
): { readonly file: TensorFile; readonly merged: number } {
  const odd = [...adapter.tensors.keys()].find((name) => !/\.lora_[AB]\.weight$/.test(name));
  if (odd !== undefined) throw unfit(adapter, `it also has ${quote(odd)}, which is no part of a step B·A`);
  const layers = [...adapter.tensors.keys()].flatMap((name) => /^(.*)\.lora_A\.weight$/.exec(name)?.[1] ?? []);
  const steps = new Map<string, () => Promise<LowRank>>();
  for (const layer of layers) {
    const { a, b } = adapterNames(layer);
    // PEFT puts the model that it wraps below this.
    const bare = layer.replace(/^base_model\.model\./, '');
    const name = [`${bare}.weight`, bare].find((candidate) => file.tensors.has(candidate));
    if (name === undefined) throw unfit(adapter, `${quote(a)} is of a layer that ${file.name} has not`);
    if (steps.has(name)) throw unfit(adapter, `it has two steps for ${name}`);
    checkParts(adapter, [a, b], file.tensors.get(name)!);
    steps.set(name, () => readStep(adapter, a, b, scale));
  }
  if (!steps.size) throw unfit(adapter, 'it has no tensor <layer>.lora_A.weight');
  return { file: mergeSteps(file, steps), merged: steps.size };
}

function checkParts(adapter: TensorFile, [a, b]: readonly [string, string], { name, shape }: TensorInfo): void {
  const [first, second] = [a, b].map((part) => adapter.tensors.get(part)?.shape ?? []);
  const [out, width] = [shape[0], elementCount(shape.slice(1))];
  const rank = first[0];
  if (`${first.join()} ${second.join()}` === `${rank},${width} ${out},${rank}`) return;
  const why = `${name} is [${shape.join(', ')}], ${a} [${first.join(', ')}] and ${b} [${second.join(', ')}]`;
  throw unfit(adapter, why);
}

const unfit = ({ name }: TensorFile, why: string): RuntimeError =>
  new RuntimeError({
    code: 'mismatch',
    where: name,
    what: 'the adapter does not fit the weights',
    why,
    fix: 'give the weights that it was trained beside',
  });
