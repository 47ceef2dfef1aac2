/** A training under way: the loop, with what it writes and shows, to its end or to where it fails. */
import { recordOf } from '../../runtime/data/dataset.ts';
import { START } from '../../runtime/data/order.ts';
import { prefetch } from '../../runtime/data/prefetch.ts';
import { MetricsWriter, type MetricsRecord } from '../metrics.ts';
import { startProgress } from '../progress.ts';
import { EventWriter } from '../tensorboard.ts';
import { grouped, rate } from '../text.ts';
import { findCause } from './cause.ts';
import { saveCheckpoint } from './checkpoint.ts';
import { explained } from './explain.ts';
import { weightsMetadata } from './finished.ts';
import type { Job, Running, TrainResult } from './job.ts';
import { trainLoop, type Place } from './loop.ts';
import { NotFinite } from './not-finite.ts';
import type { TrainingRecord } from './record.ts';
import type { Hyperparameters } from './settings.ts';
import { validate } from './validation.ts';

export async function run(job: Job, running: Running): Promise<Omit<TrainResult, 'adapter'>> {
  const { program, preview, stop } = running;
  const { request, loaded, folder, settings, data, held, checkpoint, terminal } = job;
  const { model, name } = loaded;
  if (!checkpoint) folder.forgetLooks();
  const from = checkpoint?.record ?? { step: 0, position: START };
  const metrics = new MetricsWriter(folder.metrics, from.step);
  const events = new EventWriter(folder.path, from.step);
  const batches = prefetch(data, { batch: settings.batch, seed: settings.seed, position: from.position });
  const bar = startProgress(terminal, 'training', request.steps, 'steps', { logs: false });
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
    if (png) events.addSamples(step, png);
    await folder.writePage(name, step);
  };
  const accumulate = Number(optionOf('accumulate', 1));
  try {
    const { step, last } = await trainLoop({
      program,
      batches,
      batch: settings.batch,
      accumulate,
      seed: settings.seed,
      from,
      steps: request.steps,
      lr: Number(optionOf('lr', 1e-4)),
      every: {
        log: request.logEvery,
        checkpoint: request.checkpointEvery,
        sample: preview ? preview.every : 0,
        validate: held ? request.valEvery : 0,
      },
      stop,
      onStep: (done) => bar.update(done),
      onRecord(made) {
        metrics.add(made);
        events.add(made);
        bar.note((note = summary(made)));
      },
      async onCheckpoint(at, measured) {
        if (measured) bar.note((note = summary(measured)));
        metrics.sync();
        saved = await saveCheckpoint(folder.checkpoints, program, record(at), request.keep);
        if (!terminal.interactive) terminal.err(`step ${grouped(at.step)}  ${note}`);
        await folder.writePage(name, at.step);
      },
      onSample,
      async onValidate() {
        bar.note('measuring on what is held out');
        const loss = await validate(program, held!, { seed: settings.seed, stop });
        bar.note(note);
        return loss;
      },
    });
    const finished = step === request.steps;
    if (finished) {
      if (preview && step % preview.every) await onSample(step);
      await folder.writeWeights(program, request.weightsDtype, weightsMetadata(name, step));
    }
    if (finished || step > from.step) await folder.writePage(name, step);
    return {
      step,
      taken: step - from.step,
      finished,
      loss: last?.loss ?? null,
      imagesPerSecond: last?.wall.imagesPerSecond ?? null,
      checkpoint: saved,
      weights: finished ? folder.weights : undefined,
    };
  } catch (error) {
    bar.stop();
    await batches.return();
    const known = { accumulate, from, saved, record };
    const origin = error instanceof NotFinite ? await findCause(error, job, running, known) : undefined;
    throw explained(error, { source: loaded.source, checkpoint: saved, origin });
  } finally {
    bar.stop();
    await batches.return();
  }
}

const summary = ({ loss, val, wall }: MetricsRecord): string =>
  `loss ${loss?.toPrecision(4)}${val === undefined ? '' : ` · held out ${val?.toPrecision(4)}`} · ${rate(wall.imagesPerSecond)}`;
