/** The tab that trains: there where the build came with data. Pausing ends after the step under way; nothing is lost by it. */
import { load, openTrainer } from './index.js';
import { LossChart } from './chart.js';
import { kindOf, paintAll } from './paint.js';
import { $, bytesText, describe, made, Report, samplesOf, saveFile, shareOf, timeText } from './shared.js';

/** More than anyone waits for. */
const STEPS = 2 ** 30;
/** Steps from one copy of all values to the next, from which it goes on where the GPU is lost. */
const KEEP_EVERY = 100;
/** Most pictures of a sample. */
const PICTURES = 10;

/** Whether there is something to train; if so, the tab is made ready. */
export function openTraining({ manifest }, file) {
  if (!file.trainer) return false;
  const training = new Training(manifest, kindOf(file));
  $('training').addEventListener('submit', (event) => {
    event.preventDefault();
    void training.toggle();
  });
  $('checkpoint').addEventListener('click', () => void training.save());
  $('open').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', ({ target: { files } }) => void training.restore(files[0]));
  $('task').textContent = `${manifest.model} from new weights, on the data that comes with this page`;
  return true;
}

class Training {
  #report = new Report($('train'));
  #chart = new LossChart($('losses'));
  #trainer;
  #drawer;
  #pausing;
  #every = Number($('every').value);
  #manifest;
  #kind;

  constructor(manifest, kind) {
    this.#manifest = manifest;
    this.#kind = kind;
  }

  /** Trains, or pauses what trains. */
  async toggle() {
    if (this.#pausing) return void this.#pausing.abort();
    this.#pausing = new AbortController();
    await this.#doing('Pause', async () => {
      const trainer = await this.#open();
      await this.#train(trainer, this.#pausing.signal);
      this.#report.say(this.#pausing.signal.aborted ? `paused after step ${trainer.step}` : `step ${trainer.step}`);
    });
  }

  async save() {
    await this.#doing('Train', async () => {
      const parts = await this.#trainer.checkpoint();
      saveFile(`${String(this.#trainer.step).padStart(7, '0')}.safetensors`, new Blob(parts));
      this.#report.say(
        `checkpoint of step ${this.#trainer.step}: ditc train --resume goes on from it, and so does this page`,
      );
    });
  }

  async restore(file) {
    $('file').value = '';
    if (!file) return;
    await this.#doing('Train', async () => {
      const trainer = await this.#open();
      await trainer.restore(file.name, new Uint8Array(await file.arrayBuffer()));
      this.#chart.clear();
      this.#report.say(`${file.name} is open: training goes on after step ${trainer.step}`);
    });
  }

  /** Does `work` with the buttons as they then are, and says what went wrong. */
  async #doing(label, work) {
    this.#report.clear();
    $('go').textContent = label;
    $('go').disabled = !this.#pausing;
    for (const name of ['checkpoint', 'open']) $(name).disabled = true;
    try {
      await work();
    } catch (error) {
      if (this.#pausing?.signal.aborted && error === this.#pausing.signal.reason)
        this.#report.say(this.#trainer?.step ? `paused after step ${this.#trainer.step}` : 'stopped before it began');
      else this.#report.fail(error);
    } finally {
      this.#report.show();
      this.#pausing = undefined;
      $('go').textContent = 'Train';
      $('go').disabled = $('open').disabled = false;
      $('checkpoint').disabled = !this.#trainer?.step;
    }
  }

  /** What trains, loaded when it is first wanted. */
  async #open() {
    const report = this.#report;
    this.#trainer ??= await openTrainer({
      signal: this.#pausing?.signal,
      // The first half of the bar; kernels are the other.
      onData(bytes, total) {
        report.show(shareOf(bytes, total) / 2);
        report.say(`data: ${bytesText(bytes)} of ${bytesText(total)}`);
      },
      onProgress({ kernels, totalKernels }) {
        report.show((1 + shareOf(kernels, totalKernels)) / 2);
        if (totalKernels) report.say(`${kernels} of ${totalKernels} kernels compiled`);
      },
      onNote: (note) => report.say(note),
    });
    report.show();
    return this.#trainer;
  }

  async #train(trainer, signal) {
    while (!signal.aborted) {
      // While it is being typed it may be no number.
      if ($('every').checkValidity()) this.#every = Number($('every').value);
      const every = this.#every;
      const steps = every - (trainer.step % every);
      let last = performance.now();
      const onStep = ({ step, loss, ...others }) => {
        const took = performance.now() - last;
        last += took;
        this.#chart.add(step, loss);
        describe($('measured'), {
          step,
          loss: loss.toPrecision(4),
          'a step takes': timeText(took),
          ...rounded(others),
        });
      };
      this.#report.say('training');
      await trainer.train({ steps: Math.min(steps, STEPS), every: 1, keepEvery: KEEP_EVERY, onStep, signal });
      if (!signal.aborted) await this.#sample(trainer, signal);
    }
  }

  /** Draws with the weights as they are: on a model of its own, so that the other tab keeps its weights. */
  async #sample(trainer, signal) {
    const { entries, options = {} } = this.#manifest;
    if (!entries.sampleStep) return;
    this.#report.say('drawing samples');
    const { batch, classes: known } = samplesOf(this.#manifest);
    const classes = Array.from({ length: Math.min(PICTURES, batch) }, (_, i) => i % known);
    const drawn = () => this.#drawn(trainer, { classes, seed: 0, cfg: options.cfg, signal });
    const pictures = await drawn().catch((error) => {
      if (error.code !== 'device-lost') throw error;
      return drawn();
    });
    const { one, range } = this.#kind;
    const canvases = classes.map((label) => made('canvas', { role: 'img', 'aria-label': `${one} of class ${label}` }));
    paintAll(canvases, pictures, range);
    const row = made('div', { class: 'row' }, ...canvases);
    $('samples').prepend(made('figure', { role: 'listitem' }, made('figcaption', {}, `step ${trainer.step}`), row));
  }

  /** A model that fails, as where its GPU is lost with the weights that it was given, is not drawn with again. */
  async #drawn(trainer, options) {
    this.#drawer ??= await load({ entries: ['sampleStart', 'sampleStep'], signal: options.signal });
    const drawer = this.#drawer;
    try {
      for (const [name, value] of Object.entries(await trainer.model.weights())) await drawer.setParam(name, value);
      return await drawer.sample(options);
    } catch (error) {
      if (!options.signal.aborted) {
        this.#drawer = undefined;
        void drawer.dispose();
      }
      throw error;
    }
  }
}

const rounded = (numbers) =>
  Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, value.toPrecision(4)]));
