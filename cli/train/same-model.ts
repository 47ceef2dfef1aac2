/** Whether a checkpoint is one of the model that is to go on from it. */
import { isDeepStrictEqual } from 'node:util';
import type { Model } from '../../compiler/dsl/model.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import type { TrainingRecord } from './record.ts';

/** Throws unless the checkpoint at `where` is one of this model, naming what differs. */
export function checkSameModel({ config }: Model, name: string, record: TrainingRecord, where: string): void {
  // As JSON has it: what a file cannot hold is no difference.
  const here = JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
  const keys = [...new Set([...Object.keys(record.config), ...Object.keys(here)])];
  const differs = keys.filter((key) => !isDeepStrictEqual(record.config[key], here[key]));
  if (!differs.length && record.model === name) return;
  const shown = (value: unknown) => (value === undefined ? 'missing' : JSON.stringify(value));
  const lines = differs.map(
    (key) => `${key}: the checkpoint has ${shown(record.config[key])}, the model ${shown(here[key])}`,
  );
  if (record.model !== name) lines.unshift(`the checkpoint is one of ${record.model}, the model is ${name}`);
  throw new DitcError({
    code: 'mismatch',
    where,
    what: 'the checkpoint is of another model',
    why: lines.join('\n'),
    fix: 'give the model file it was trained with, or begin anew with --weights',
  });
}
