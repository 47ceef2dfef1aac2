/** `ditc train` from the model file to the trained weights: what is checked, made and closed, and in which order. */
import { planMemory } from '../../runtime/buffers.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { recordOf, sameData, type Dataset, type OnBad } from '../../runtime/data/dataset.ts';
import { START } from '../../runtime/data/order.ts';
import { prefetch } from '../../runtime/data/prefetch.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { openData } from '../../runtime/node/data/open.ts';
import { withPreludes } from '../../runtime/preludes.ts';
import type { Program } from '../../runtime/program.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import { UsageError } from '../errors.ts';
import { fillProgram, startProgram, withDevice, withWeights } from '../gpu.ts';
import { stoppable } from '../interrupt.ts';
import { MetricsWriter, type MetricsRecord } from '../metrics.ts';
import { compile, loadModel, type LoadedModel } from '../model.ts';
import { startProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, grouped, plural, rate } from '../text.ts';
import { loadCheckpoint, recordIn, saveCheckpoint, type TrainingRecord } from './checkpoint.ts';
import { checkTrainer, TRAINING_ENTRIES } from './entries.ts';
import { TrainingFolder } from './folder.ts';
import { trainLoop, type Place } from './loop.ts';
import { checkMemory, type Need } from './memory.ts';
import { openPreview, previewOf, type Preview, type PreviewRequest } from './preview.ts';
import { checkSameModel, settle, type GivenSettings, type Hyperparameters, type Settings } from './settings.ts';

export interface TrainRequest {
  readonly data: string;
  readonly steps: number;
  readonly out: string;
  readonly given: GivenSettings;
  /** A checkpoint to go on from, or `latest`. */
  readonly resume?: string;
  /** Weights to begin with. */
  readonly weights?: string;
  readonly onBad: OnBad;
  readonly logEvery: number;
  readonly checkpointEvery: number;
  readonly preview: PreviewRequest;
  readonly keep: number;
  readonly weightsDtype: 'f32' | 'f16';
  /** Bytes on the device that may be used. */
  readonly memory?: number;
}

export interface TrainResult {
  readonly step: number;
  readonly finished: boolean;
  readonly loss: number | null;
  readonly imagesPerSecond: number | null;
  readonly checkpoint?: string;
  readonly weights?: string;
  readonly adapter: string;
}

/** Everything that is known before a device is opened. */
interface Job {
  readonly request: TrainRequest;
  readonly loaded: LoadedModel;
  readonly folder: TrainingFolder;
  readonly settings: Settings;
  readonly data: Dataset;
  readonly preview?: Preview;
  readonly checkpoint?: { readonly path: string; readonly file: TensorFile; readonly record: TrainingRecord };
  readonly weights?: TensorFile;
  readonly terminal: Terminal;
}

export async function train(path: string, request: TrainRequest, terminal: Terminal): Promise<TrainResult> {
  const loaded = loadModel(path);
  const folder = new TrainingFolder(request.out);
  const resumed = await folder.checkpointFor(request.resume);
  return withWeights(resumed, (file) =>
    withWeights(request.weights, async (weights) => {
      const record = file && recordIn(file);
      if (record) checkResumable(loaded, record, request, resumed!);
      const { settings, notes } = settle(request.given, record?.settings);
      const shape = checkTrainer(loaded, { ...settings.options, batch: settings.batch });
      const preview = previewOf(loaded, request.preview, settings.seed);
      const { numClasses } = loaded.model.config;
      const data = await openData(request.data, {
        shape,
        classes: typeof numClasses === 'number' ? numClasses : undefined,
        labels: record?.data.classes,
        flip: settings.flip,
        onBad: request.onBad,
      });
      try {
        checkData(data, record, resumed);
        for (const note of [...notes, ...data.notes]) terminal.err(`note: ${note}`);
        const checkpoint = file && record && { path: resumed!, file, record };
        const job = { request, loaded, folder, settings, data, preview, checkpoint, weights, terminal };
        return await withDevice((open) => trainOn(open, job));
      } finally {
        await data.close();
      }
    }),
  );
}

function checkResumable(
  { model, name }: LoadedModel,
  record: TrainingRecord,
  request: TrainRequest,
  path: string,
): void {
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

function checkData(data: Dataset, record: TrainingRecord | undefined, checkpoint?: string): void {
  if (data.content === 'moments') {
    const why = 'latents would have to be drawn from them';
    const fix = 'store latents, drawn and scaled, as a tensor latents [N,C,H,W]';
    throw new DitcError({ code: 'unsupported', where: data.name, what: 'moments cannot be trained on', why, fix });
  }
  if (!record || sameData(data, record.data)) return;
  const examples = (n: number) => plural(n, 'example');
  const why =
    data.count === record.data.count
      ? 'as many examples, but other names, sizes or labels'
      : `${examples(data.count)} here, ${examples(record.data.count)} when ${checkpoint} was written`;
  const fix = 'give the data it was trained on, or begin anew with --weights';
  throw new DitcError({ code: 'mismatch', where: data.name, what: 'the data is not what it was', why, fix });
}

async function trainOn(open: OpenDevice, job: Job): Promise<TrainResult> {
  const { request, loaded, folder, settings, terminal, data } = job;
  const entries = TRAINING_ENTRIES;
  const compiled = (batch: number): Artefact =>
    compile(loaded, { device: open.spec, entries, entryOptions: { ...settings.options, batch } }).artefact;
  const artefact = compiled(settings.batch);
  const sampler = job.preview?.compile(open.spec);
  const needOf = (batch: number): Need => {
    const own = needed(batch === settings.batch ? artefact : compiled(batch), entries);
    const beside = sampler ? needed(sampler, Object.keys(sampler.manifest.entries)).total : 0;
    return { fixed: own.fixed + beside, total: own.total + beside };
  };
  if (request.memory !== undefined) checkMemory(request.memory, settings.batch, needOf);
  terminal.err(
    `${loaded.name} on ${open.spec.name}: ${plural(data.count, 'example')} of ${plural(data.classes.length, 'class', 'classes')}, ` +
      `batch ${settings.batch}, ${bytes(needOf(settings.batch).total)} on the device`,
  );
  folder.make();
  const program = await filledProgram(open, job, artefact);
  try {
    const preview = job.preview && sampler && (await openPreview(open, job.preview, sampler, terminal));
    try {
      return { ...(await stoppable((stop) => run(job, program, preview, stop))), adapter: open.spec.name };
    } finally {
      preview?.close();
    }
  } finally {
    program.close();
  }
}

function needed({ manifest }: Artefact, entries: readonly string[]): Need {
  const { weights, state, constants, total } = planMemory(manifest, withPreludes(manifest, entries)).report;
  return { fixed: weights + state + constants, total };
}

/** A program at the step of the checkpoint, or at the first. */
async function filledProgram(open: OpenDevice, job: Job, artefact: Artefact): Promise<Program> {
  const { checkpoint, weights, settings, terminal } = job;
  const setup = { artefact, entries: TRAINING_ENTRIES };
  if (checkpoint) {
    const { file } = checkpoint;
    return fillProgram(open, setup, terminal, 'loading the checkpoint', (to, bar) => loadCheckpoint(to, file, bar));
  }
  const program = await startProgram(open, { ...setup, weights, seed: settings.seed }, terminal);
  await program.run('trainStart');
  return program;
}

async function run(
  job: Job,
  program: Program,
  preview: Awaited<ReturnType<typeof openPreview>> | undefined,
  stop: AbortSignal,
): Promise<Omit<TrainResult, 'adapter'>> {
  const { request, loaded, folder, settings, data, checkpoint, terminal } = job;
  const { model, name } = loaded;
  const from = checkpoint?.record ?? { step: 0, position: START };
  const metrics = new MetricsWriter(folder.metrics, from.step);
  const batches = prefetch(data, { batch: settings.batch, seed: settings.seed, position: from.position });
  const bar = startProgress(terminal, 'training', request.steps, 'steps');
  const optionOf = (option: keyof Hyperparameters, otherwise: number) =>
    settings.options[option] ?? model.options?.[option] ?? otherwise;
  let saved = checkpoint?.path;
  let note = '';
  const record = ({ step, position }: Place): TrainingRecord => {
    return { format: 1, model: name, config: model.config, settings, data: recordOf(data), step, position };
  };
  const onSample = async (step: number): Promise<void> => {
    bar.note('drawing samples');
    const png = await preview?.draw(program, stop);
    bar.note(note);
    if (png) await folder.addSample(step, png);
    await folder.writePage(name, step);
  };
  try {
    const { step, last } = await trainLoop({
      program,
      batches,
      batch: settings.batch,
      accumulate: Number(optionOf('accumulate', 1)),
      seed: settings.seed,
      from,
      steps: request.steps,
      lr: Number(optionOf('lr', 1e-4)),
      every: { log: request.logEvery, checkpoint: request.checkpointEvery, sample: preview ? preview.every : 0 },
      stop,
      onStep: (done) => bar.update(done),
      onRecord(made) {
        metrics.add(made);
        bar.note((note = summary(made)));
      },
      async onCheckpoint(at) {
        saved = await saveCheckpoint(folder.checkpoints, program, record(at), request.keep);
        if (!terminal.interactive) terminal.err(`step ${grouped(at.step)}  ${note}`);
        await folder.writePage(name, at.step);
      },
      onSample,
    });
    const finished = step === request.steps;
    if (finished) {
      if (preview && step % preview.every) await onSample(step);
      await folder.writeWeights(program, request.weightsDtype, { 'ditc.model': name, 'ditc.step': String(step) });
    }
    await folder.writePage(name, step);
    return {
      step,
      finished,
      loss: last?.loss ?? null,
      imagesPerSecond: last?.wall.imagesPerSecond ?? null,
      checkpoint: saved,
      weights: finished ? folder.weights : undefined,
    };
  } catch (error) {
    throw explained(error, saved, loaded.source);
  } finally {
    bar.stop();
    await batches.return();
  }
}

const summary = ({ loss, wall }: MetricsRecord): string =>
  `loss ${loss?.toPrecision(4)} · ${rate(wall.imagesPerSecond)}`;

/** What is left when a training fails, and how to go on. */
function explained(error: unknown, checkpoint: string | undefined, source: string): unknown {
  if (!(error instanceof DitcError || error instanceof RuntimeError)) return error;
  const { code, what, where } = error;
  const fix = code === 'bad-example' ? 'remove or replace it, or leave such out with --on-bad skip' : error.fix;
  const left = checkpoint ? `the last good checkpoint is ${checkpoint}` : 'there is no checkpoint yet';
  const why = [error.why, left].filter(Boolean).join('\n');
  const again = checkpoint ? `; then go on with --resume ${checkpoint}` : '';
  const cause = { cause: error };
  if (code !== 'not-finite')
    return new DitcError({ code, what, where, why, fix: `${fix ?? 'see above'}${again}` }, cause);
  const how = checkpoint ? `go on with --resume ${checkpoint}` : 'begin anew';
  const verify = `whether the kernels compute right tells ditc verify ${source}`;
  return new DitcError({ code, what, where, why, fix: `${how} and a lower --lr or --clip 1; ${verify}` }, cause);
}
