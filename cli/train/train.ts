/** `ditc train` from the model file to the trained weights: what is checked, made and closed, and in which order. */
import { sameData, type Dataset } from '../../runtime/data/dataset.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { optionsRead, type EntryOptions } from '../../compiler/dsl/model.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import { UsageError } from '../errors.ts';
import { fillProgram, startProgram, withWeights } from '../gpu.ts';
import { withLastingDevice } from '../recovery.ts';
import { stoppable, withLastWords, type Stoppable } from '../interrupt.ts';
import { compile, compileArtefact, loadModel, type LoadedModel } from '../model.ts';
import { checkMemory, compileWithin, needOf, recomputed, type Need } from '../../library/memory.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, grouped, plural } from '../text.ts';
import { checkApart } from '../out-path.ts';
import { checkInputFiles } from '../input-files.ts';
import { loadCheckpoint } from '../../runtime/checkpoint/training.ts';
import { TRAINING_ENTRIES } from '../../runtime/train.ts';
import { checkTrainer } from './entries.ts';
import { TrainingFolder, WRITTEN } from './folder.ts';
import type { Job, Running, TrainRequest, TrainResult } from './job.ts';
import { openPreview } from './drawing.ts';
import { finishedBefore } from './finished.ts';
import { previewOf } from './preview.ts';
import { changedSince, withCheckpoint, type Checkpoint } from './resume.ts';
import { run } from './run.ts';
import { checkSameModel } from './same-model.ts';
import { settle } from './settings.ts';
import { atOption } from '../option-place.ts';
import { checkBeside, unreadOptions } from '../unread.ts';
import { openSplit, VALIDATION } from './validation.ts';

/** Trains until its steps are done, or `stopping` is asked to end. */
export async function train(
  path: string,
  request: TrainRequest,
  terminal: Terminal,
  stopping: Stoppable = stoppable,
): Promise<TrainResult> {
  checkBeside(request, 'weights', ['part', 'onMismatch']);
  const loaded = loadModel(path, terminal);
  const folder = new TrainingFolder(request.out);
  checkApart(request.out, request.data, WRITTEN);
  const resumed = await folder.checkpointFor(request.resume);
  return withCheckpoint(resumed.path, (checkpoint) =>
    withWeights({ path: request.weights, part: request.part }, async (weights) => {
      const record = checkpoint?.record;
      if (checkpoint) checkResumable(loaded, checkpoint, request);
      const { settings, notes } = settle(request.given, record?.settings);
      const traced = { ...settings.options, batch: settings.batch, dtype: settings.dtype };
      const given = Object.keys(request.given.options);
      const { shape, classes, told } = atOption(given, () => checkTrainer(loaded, traced));
      const preview = previewOf(
        loaded,
        { ...request.preview, tuning: request.tuning },
        { seed: settings.seed, classes },
      );
      const { flip, seed, val } = settings;
      const { onBad, latentScale, valData } = request;
      const opened = { shape, classes, labels: record?.data.classes, flip, onBad, latentScale };
      checkInputFiles(told, request.inputs, 'N');
      const held = { share: val, path: valData, seed };
      const split = await openSplit(request.data, opened, { inputs: told, paths: request.inputs }, held, loaded);
      const { data } = split;
      try {
        checkData(data, checkpoint);
        const job = {
          request,
          loaded,
          folder,
          settings,
          data,
          held: split.held,
          preview,
          checkpoint,
          weights,
          terminal,
        };
        const finished = await finishedBefore(job);
        if (finished) return finished;
        const changed = checkpoint && (await changedSince(checkpoint, data));
        const unread = unreadOptions(loaded, TRAINING_ENTRIES, traced, given);
        const slow = checkpoint ? undefined : slowAverage(loaded, traced, request.steps);
        const remarks = [resumed.note, ...notes, ...data.notes, changed, unread, fewerClasses(data, classes), slow];
        for (const note of remarks) if (note) terminal.err(`note: ${note}`);
        return await trainLasting(job, stopping);
      } finally {
        await split.close();
      }
    }),
  );
}

/** What of the model the data does not train. */
function fewerClasses({ classes: { length } }: Dataset, known = 0): string | undefined {
  if (!length || length >= known) return undefined;
  const others = known - length > 1 ? `the other ${grouped(known - length)} are` : 'the other is';
  return `the data has ${plural(length, 'class', 'classes')}, the model ${grouped(known)}: ${others} not trained`;
}

/** What to say of an average of the weights that still is mostly of the first ones when training ends; it is what is written. */
function slowAverage({ model }: LoadedModel, options: EntryOptions, steps: number): string | undefined {
  // Of a model with an optimiser of its own nobody knows what it does unless told.
  if (!optionsRead(model, options, TRAINING_ENTRIES).has('emas')) return undefined;
  const decay = Number(options.ema ?? model.options?.ema ?? USUAL_DECAY);
  const kept = Math.round(100 * decay ** steps);
  if (kept < 10) return undefined;
  const better = (1 - 10 / Math.max(steps, 20)).toPrecision(3);
  return `what is written is an average that after ${plural(steps, 'step')} is ${kept} % the first weights: --ema ${better} follows sooner`;
}

/** Of the average, by the optimiser of models/. */
const USUAL_DECAY = 0.9999;

/** Trains on a device; where that is lost, on one opened anew, from the last step that a checkpoint kept. */
async function trainLasting(job: Job, stopping: Stoppable): Promise<TrainResult> {
  const { folder, checkpoint, terminal } = job;
  return withLastingDevice(
    terminal,
    (open) => trainOn(open, job, stopping),
    async () => {
      const path = (await folder.lastCheckpoint()) ?? checkpoint?.path;
      const step = path === undefined ? 0 : await withCheckpoint(path, async (kept) => kept!.record.step);
      const from = path === undefined ? 'and training begins anew: no checkpoint was written yet' : `and training goes on from step ${grouped(step)}, the last that a checkpoint kept`; // prettier-ignore
      const work = (open: OpenDevice) =>
        withCheckpoint(path, async (kept) => {
          const result = await trainOn(open, { ...job, checkpoint: kept }, stopping);
          return { ...result, taken: result.step - (checkpoint?.record.step ?? 0) };
        });
      return { from, work };
    },
  );
}

function checkResumable({ model, name }: LoadedModel, { path, record }: Checkpoint, request: TrainRequest): void {
  if (request.weights)
    throw new UsageError({ what: '--weights and --resume exclude each other', fix: 'give one of them' });
  checkSameModel(model, name, record, path);
  if (record.step <= request.steps) return;
  const why = `${path} is of step ${grouped(record.step)}`;
  throw new UsageError({
    what: `--steps is ${grouped(request.steps)}`,
    why,
    fix: 'give the number of all steps together',
  });
}

function checkData(data: Dataset, checkpoint?: Checkpoint): void {
  if (!checkpoint || sameData(data, checkpoint.record.data)) return;
  const { record, path } = checkpoint;
  const examples = (n: number) => plural(n, 'example');
  const why =
    data.count === record.data.count
      ? 'as many examples, but other names, sizes or labels'
      : `${examples(data.count)} here, ${examples(record.data.count)} when ${path} was written`;
  const fix = 'give the data it was trained on, or begin anew with --weights';
  throw new DitcError({ code: 'mismatch', where: data.name, what: 'the data is not what it was', why, fix });
}

const entriesOf = ({ held }: Job): readonly string[] => (held ? [...TRAINING_ENTRIES, VALIDATION] : TRAINING_ENTRIES);

async function trainOn(open: OpenDevice, job: Job, stopping: Stoppable): Promise<TrainResult> {
  const { request, loaded, settings, terminal, data } = job;
  const entries = entriesOf(job);
  const sampler = job.preview?.compile(open.spec);
  const beside = sampler ? needOf(sampler).total : 0;
  const compiledFor = (batch: number) => {
    const within = (memory?: number) => {
      const options = {
        terminal,
        device: open.spec,
        entries,
        entryOptions: { ...settings.options, batch },
        dtype: settings.dtype,
        memory,
        tuning: request.tuning,
      };
      return { artefact: compileArtefact(loaded, options), entries: () => compile(loaded, options).entries };
    };
    return request.memory === undefined ? within() : compileWithin(request.memory - beside, within);
  };
  // Where a bar is watched, phases are named as they go.
  if (!terminal.interactive) terminal.err(`${loaded.name} on ${open.spec.name}: compiling`);
  const compiled = compiledFor(settings.batch);
  const { artefact } = compiled;
  const needFor = (batch: number): Need => {
    const { fixed, total } = needOf(batch === settings.batch ? artefact : compiledFor(batch).artefact, entries);
    return { fixed: fixed + beside, total: total + beside };
  };
  if (request.memory !== undefined) checkMemory(request.memory, settings.batch, needFor);
  const twice = recomputed(artefact);
  const begun = withLastWords(NOTHING_WRITTEN);
  try {
    terminal.err(
      `${loaded.name} on ${open.spec.name}: ${plural(data.count, 'example')} of ${plural(data.classes.length, 'class', 'classes')}, ` +
        `${job.held ? `${grouped(job.held.count)} held out, ` : ''}batch ${settings.batch}, ${bytes(needFor(settings.batch).total)} on the device${twice ? `, ${twice}` : ''}`,
    );
    return await runInFolder(open, job, { compiled, sampler, begun, stopping });
  } finally {
    begun();
  }
}

interface Ready {
  readonly compiled: Running['compiled'];
  readonly sampler?: Artefact;
  /** Called when the first step is about to be taken. */
  readonly begun: () => void;
  readonly stopping: Stoppable;
}

/** Everything that is done while the folder is this training's own. */
async function runInFolder(open: OpenDevice, job: Job, ready: Ready): Promise<TrainResult> {
  const { compiled, sampler, begun, stopping } = ready;
  const { data, folder, terminal } = job;
  const unlock = folder.lock();
  try {
    const program = await filledProgram(open, job, compiled.artefact);
    try {
      const drawn = { artefact: sampler!, data, terminal };
      const preview = job.preview && (await openPreview(open, job.preview, drawn));
      begun();
      try {
        const result = await stopping((stop) => run(job, { program, compiled, preview, stop }));
        return { ...result, adapter: open.spec.name };
      } finally {
        preview?.close();
      }
    } finally {
      program.close();
    }
  } finally {
    unlock();
  }
}

/** Of a training that ends before it has taken a step. */
export const NOTHING_WRITTEN = 'stopped before the first step: nothing was written';

/** A program at the step of the checkpoint, or at the first. */
async function filledProgram(open: OpenDevice, job: Job, artefact: Artefact): Promise<Program> {
  const { checkpoint, weights, settings, terminal } = job;
  const setup = { artefact, entries: entriesOf(job) };
  if (checkpoint) {
    const { file } = checkpoint;
    return fillProgram(open, setup, terminal, 'loading the checkpoint', (to, bar) => loadCheckpoint(to, file, bar));
  }
  const program = await startProgram(
    open,
    { ...setup, weights, seed: settings.seed, part: job.request.part, onMismatch: job.request.onMismatch },
    terminal,
  );
  await program.run('trainStart');
  return program;
}
