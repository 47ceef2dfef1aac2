/**
 * Checkpoints of a training: one safetensors file with all parameters and states as they are on the device, bit by bit,
 * and in its metadata the record of what is being trained on what. A file is whole or not there.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorSpec } from '../../compiler/emit/artefact.ts';
import { writeTraining } from '../../runtime/checkpoint/training.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import type { Program } from '../../runtime/program.ts';
import { allFinite } from '../../runtime/values.ts';
import type { Values } from '../../runtime/transfer.ts';
import { NotFinite } from './not-finite.ts';
import type { TrainingRecord } from './record.ts';

const FILE = /^(\d{7,})\.safetensors$/;
/** Names the newest checkpoint of a folder. */
export const POINTER = 'latest';

/**
 * Writes `folder`/0000030.safetensors for step 30, points `latest` at it and deletes all but the last `keep`.
 * @throws DitcError `not-finite`, before anything is replaced, when a value is; RuntimeError `io`, the earlier checkpoints
 * intact.
 */
export async function saveCheckpoint(
  folder: string,
  program: Program,
  record: TrainingRecord,
  keep: number,
): Promise<string> {
  const name = `${String(record.step).padStart(7, '0')}.safetensors`;
  const path = join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeCheckpoint(path, program, record, (values, { name }) => {
    if (!allFinite(values)) throw new NotFinite(record.step, name, `after step ${record.step}, ${name} is not finite`);
  });
  await writeAtomically(join(folder, POINTER), (write) => write(Buffer.from(`${name}\n`)));
  await prune(folder, record.step, keep);
  return path;
}

/** Writes a checkpoint to a path. `check` sees every tensor, and nothing is replaced when it throws. */
export async function writeCheckpoint(
  path: string,
  program: Program,
  record: TrainingRecord,
  check: (values: Values, spec: TensorSpec) => void = () => {},
): Promise<void> {
  await writeAtomically(path, (write) => writeTraining(write, program, record, check));
}

/** Those of later steps, left from a run that this one branched off, are not counted: they are replaced when reached. */
async function prune(folder: string, step: number, keep: number): Promise<void> {
  const steps = (await checkpointSteps(folder)).filter((at) => at.step <= step);
  for (const { name } of steps.slice(0, Math.max(0, steps.length - keep))) await rm(join(folder, name));
}

/** The checkpoints of a folder by step; none where there is no folder. */
export async function checkpointSteps(folder: string): Promise<{ readonly step: number; readonly name: string }[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => {
    const step = FILE.exec(name)?.[1];
    return step === undefined ? [] : [{ step: Number(step), name }];
  });
  return found.sort((a, b) => a.step - b.step);
}
