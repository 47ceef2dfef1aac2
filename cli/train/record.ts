/** What a checkpoint says of itself, as JSON in the file's metadata; a file may hold anything there, so all of it is checked. */
import { DitcError } from '../../compiler/ir/error.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { RECORD } from '../../runtime/checkpoint/training.ts';
import type { DataRecord } from '../../runtime/data/dataset.ts';
import type { Position } from '../../runtime/data/order.ts';
import type { Settings } from './settings.ts';

/** With the tensors it is all that the next step depends on. */
export interface TrainingRecord {
  readonly format: 1;
  readonly model: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly settings: Settings;
  readonly data: DataRecord;
  /** Steps done. */
  readonly step: number;
  /** Where in the data the next step begins. */
  readonly position: Position;
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isOption: Check = (value) => typeof value === 'number' || typeof value === 'string';
const allOf =
  (each: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value as object).every(each);

/** Every part of the record by its path. */
const PARTS: readonly (readonly [path: string, check: Check])[] = [
  ['format', (value) => value === 1],
  ['model', isText],
  ['config', isObject],
  ['settings', isObject],
  ['settings.batch', (value) => isCount(value) && value !== 0],
  ['settings.seed', isCount],
  ['settings.flip', (value) => typeof value === 'boolean'],
  ['settings.val', (value) => value === undefined || typeof value === 'number'],
  ['settings.dtype', (value) => value === undefined || value === 'f32' || value === 'f16'],
  ['settings.options', allOf(isOption)],
  ['data', isObject],
  ['data.classes', (value) => Array.isArray(value) && value.every(isText)],
  ['data.count', isCount],
  ['data.fingerprint', isText],
  ['step', isCount],
  ['position', isObject],
  ['position.epoch', isCount],
  ['position.index', isCount],
];

/** The record in a checkpoint. @throws DitcError `mismatch` when it has none, `bad-format` when the record is damaged. */
export function recordIn(file: TensorFile): TrainingRecord {
  const text = file.metadata[RECORD];
  if (text === undefined) {
    const fix = 'give a file of OUT/checkpoints; to begin from weights alone, use --weights';
    throw new DitcError({ code: 'mismatch', where: file.name, what: 'it is no checkpoint of a training', fix });
  }
  const damaged = (why: string) => {
    const fix = 'give another checkpoint of the training';
    return new DitcError({
      code: 'bad-format',
      where: file.name,
      what: 'its record of the training is damaged',
      why,
      fix,
    });
  };
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw damaged((error as Error).message);
  }
  const at = (path: string) =>
    path
      .split('.')
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], record ?? {});
  const wrong = PARTS.find(([path, check]) => !check(at(path)));
  if (wrong) throw damaged(`${wrong[0]} is ${JSON.stringify(at(wrong[0])) ?? 'missing'}`);
  return record as TrainingRecord;
}
