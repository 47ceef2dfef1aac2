/**
 * The weights in a training's own checkpoint: it holds parameters as `param/NAME` and states, among them their moving
 * averages, as `state/ema.NAME`. What is drawn from, and trained on, is the average where there is one.
 */
import { RuntimeError } from '../error.ts';
import { mergeSteps, readStep, type LowRank } from './low-rank.ts';
import type { TensorFile } from './source.ts';
import { viewOf } from './view.ts';

/** Which weights of a checkpoint that has several: their moving average, that of another decay, or the weights themselves. */
export type Part = 'ema' | `ema-${string}` | 'model';

const PARAM = 'param/';
const averageOf = (part: Part | undefined, name: string): string =>
  `state/${part === 'model' || !part ? 'ema' : part}.${name}`;

/**
 * The file by the names of the model's parameters; as it is when it is no checkpoint of a training. `note` says what was
 * chosen.
 * @throws RuntimeError `not-found` when there is no such part.
 */
export function trainedWeights(file: TensorFile, part?: Part): { file: TensorFile; note?: string } {
  const params = [...file.tensors.keys()].filter((name) => name.startsWith(PARAM));
  if (!params.length) return { file };
  const found = new Map<string, [string]>();
  let averages = [...file.tensors.keys()].filter((name) => name.startsWith(averageOf(part, 'lora_B.'))).length;
  for (const stored of params) {
    const name = stored.slice(PARAM.length);
    const average = averageOf(part, name);
    const hasAverage = file.tensors.has(average);
    if (hasAverage) averages++;
    found.set(name, [part !== 'model' && hasAverage ? average : stored]);
  }
  if (part !== undefined && part !== 'model' && !averages) {
    const fix = 'take the weights themselves: --part model';
    throw new RuntimeError({ code: 'not-found', where: file.name, what: `it holds no moving average ${part}`, fix });
  }
  const chosen =
    part === 'model' || !averages
      ? 'the weights themselves'
      : `the moving average (${part === 'ema' || !part ? 'EMA' : part}) of the weights`;
  const other = averages && part !== 'model' ? '; --part model takes the weights themselves' : '';
  return {
    file: mergeSteps(viewOf(file, found), stepsOf(file, [...found.keys()], part)),
    note: `${file.name} is a checkpoint of a training: ${chosen} are taken${other}`,
  };
}

/** The low-rank steps that were trained beside parameters, by their names: of the averages too, unless the weights themselves are asked for. */
function stepsOf(file: TensorFile, params: readonly string[], part?: Part): Map<string, () => Promise<LowRank>> {
  const stored = (name: string) => {
    const average = averageOf(part, name);
    return part !== 'model' && file.tensors.has(average) ? average : `state/${name}`;
  };
  const trained = params.filter((name) => file.tensors.has(`state/lora_A.${name}`));
  const read = (name: string) => readStep(file, stored(`lora_A.${name}`), stored(`lora_B.${name}`), 1);
  return new Map(trained.map((name) => [name, () => read(name)]));
}
