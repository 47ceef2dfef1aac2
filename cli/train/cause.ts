/** The job's side of the search for what made a training go astray: how its steps are taken again (astray.ts). */
import { prefetch } from '../../runtime/data/prefetch.ts';
import { discard, temporaryIn } from '../../runtime/node/temporary.ts';
import { setFirstValues } from '../../runtime/weights.ts';
import { withWeights } from '../gpu.ts';
import { loadCheckpoint } from '../../runtime/checkpoint/training.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { originLines, type Failed } from './explain.ts';
import type { Job, Running } from './job.ts';
import type { Place } from './loop.ts';
import type { NotFinite } from './not-finite.ts';
import { recordIn, type TrainingRecord } from './record.ts';

export interface Cause {
  readonly accumulate: number;
  /** Where the training began, where no checkpoint is. */
  readonly from: Place;
  /** The last good checkpoint. */
  readonly saved?: string;
  readonly record: (at: Place) => TrainingRecord;
}

/** Where the first value that is not finite came from, for the error's text. */
export async function findCause(
  error: NotFinite,
  job: Job,
  { program, compiled, stop }: Running,
  { accumulate, from, saved, record }: Cause,
): Promise<NonNullable<Failed['origin']>> {
  const { artefact, entries } = compiled;
  const { data, folder, weights, settings, terminal } = job;
  const { batch, seed } = settings;
  const load = (path: string): Promise<Place> =>
    withWeights(path, async (file) => {
      await loadCheckpoint(program, file!);
      return recordIn(file!);
    });
  const begin = async (): Promise<Place> => {
    await setFirstValues(program, {
      artefact,
      weights,
      seed,
      part: job.request.part,
      onMismatch: job.request.onMismatch,
    });
    await program.run('trainStart');
    return from;
  };
  const before = temporaryIn(folder.path, 'tmp');
  const repeat = {
    program,
    entry: entries().find(({ name }) => name === 'trainStep')!,
    accumulate,
    restore: () => (saved ? load(saved) : begin()),
    async snapshot(at: Place) {
      await writeCheckpoint(before, program, record(at));
      return async () => void (await load(before));
    },
    batchesFrom: (position: Place['position']) => prefetch(data, { batch, seed, position }),
    stop,
  };
  try {
    return await originLines(error, repeat, { artefact, folder: folder.astray, terminal });
  } finally {
    discard(before);
  }
}
