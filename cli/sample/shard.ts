/** Which part of a run of many pictures is drawn: whole batches of it, so that any division draws the same batches. */
import { fillUniform, keyOf } from '../../runtime/random.ts';
import { UsageError } from '../errors.ts';

/** Part `index` of `of`, from 0. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

const MOST = 9999;

/** `i/n`, `auto/n` or `auto`; the index, and with `auto` the number, come from the job that it is a task of. */
export function parseShard(text = '0/1', env: NodeJS.ProcessEnv = process.env): Shard {
  const [, index, count] = /^(\d+|auto)(?:\/(\d+))?$/.exec(text) ?? [];
  if (index === undefined || (index !== 'auto' && count === undefined))
    throw wrong(text, 'write i/n, such as 0/4 to 3/4');
  const job = index === 'auto' ? taskOf(env) : undefined;
  const shard = { index: job?.index ?? Number(index), of: Number(count ?? job?.of ?? NaN) };
  if (Number.isNaN(shard.of)) throw wrong(text, 'give the number of parts: auto/4');
  if (shard.of < 1 || shard.of > MOST) throw wrong(text, `the number of parts is from 1 to ${MOST}`);
  if (Number.isInteger(shard.index) && shard.index < shard.of) return shard;
  const why = `parts are numbered from 0${job ? `, and the job says ${shard.index}` : ''}`;
  throw wrong(text, `use 0/${shard.of} to ${shard.of - 1}/${shard.of}`, why);
}

const wrong = (text: string, fix: string, why?: string): UsageError =>
  new UsageError({ what: `--shard is ${text || 'empty'}`, why, fix });

/** The task's number within its array: Slurm's may begin anywhere. */
function taskOf(env: NodeJS.ProcessEnv): { readonly index: number; readonly of?: number } {
  const count = (name: string): number | undefined => (/^\d+$/.test(env[name] ?? '') ? Number(env[name]) : undefined);
  const slurm = count('SLURM_ARRAY_TASK_ID');
  if (slurm !== undefined) {
    // --array=1-13:4 has the tasks 1, 5, 9 and 13.
    const index = (slurm - (count('SLURM_ARRAY_TASK_MIN') ?? 0)) / (count('SLURM_ARRAY_TASK_STEP') || 1);
    return { index, of: count('SLURM_ARRAY_TASK_COUNT') };
  }
  const kubernetes = count('JOB_COMPLETION_INDEX');
  if (kubernetes !== undefined) return { index: kubernetes };
  const why = 'neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set';
  throw new UsageError({ what: '--shard auto is for tasks of a job', why, fix: 'give i/n' });
}

/** Pictures `first` … `first + count − 1` of a run. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** The pictures of a part. */
export function rangeOf({ index, of }: Shard, num: number, batch: number): Range {
  const batches = Math.ceil(num / batch);
  const border = (part: number): number => Math.min(Math.floor((part * batches) / of) * batch, num);
  return { first: border(index), count: border(index + 1) - border(index) };
}

/** The class of each picture: those given over and over, or drawn evenly, each for its place. */
export function classesFor(num: number, seed: number, known: number | undefined, given?: readonly number[]): number[] {
  if (given) return Array.from({ length: num }, (_, i) => given[i % given.length]);
  if (known === undefined || known <= 1) return Array.from({ length: num }, () => 0);
  const draws = new Float32Array(Math.ceil(num / 4) * 4);
  fillUniform(draws, keyOf(seed, 'classes'), 0, 1);
  return Array.from(draws.subarray(0, num), (draw) => Math.min(Math.floor(((draw + 1) / 2) * known), known - 1));
}
