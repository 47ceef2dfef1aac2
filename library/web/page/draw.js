/** The tab that draws: what is asked for, each picture as it is expected at every step, and files of them. */
import { kindOf, paintAll, pngOf, sheetOf } from './paint.js';
import { $, made, Report, samplesOf, saveFile, timeText } from './shared.js';

/** Pictures in a row of the sheet. */
const COLUMNS = 10;
/** Steps whose pictures are waited for at a time: as many as are queued ahead, so that a slow GPU shows every step. */
const LOOKS = 5;

/** "0-3, 7" as [0, 1, 2, 3, 7]; what is no class is left to the model to refuse. */
export function classesIn(text) {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .flatMap((part) => {
      const [, from, to] = /^(\d+)-(\d+)$/.exec(part) ?? [];
      if (from === undefined) return [Number(part)];
      return Array.from({ length: Math.min(1000, Math.max(0, to - from + 1)) }, (_, i) => Number(from) + i);
    });
}

/** Which step of those that a picture takes is done, and of which pictures where not all are drawn at once. */
export function placeOf(done, total, count, batch) {
  const batches = Math.ceil(count / batch);
  const steps = total / batches;
  const first = Math.floor((done - 1) / steps) * batch + 1;
  const last = Math.min(first + batch - 1, count);
  const which = first === last ? `picture ${first} of ${count}` : `pictures ${first} to ${last} of ${count}`;
  return `${batches > 1 ? `${which}, ` : ''}step ${((done - 1) % steps) + 1} of ${steps}`;
}

let report;
let canvases = [];
let stopping;

/** Fills in what the model is drawn with unless the visitor chooses otherwise. */
export function openDrawing(model, file) {
  report = new Report($('draw'));
  const { options = {}, entries, samplers = [] } = model.manifest;
  const inputs = [entries.sampleStep, entries[entries.sampleStep.prelude]].flatMap((entry) => entry?.inputs ?? []);
  const rangeOf = (name) => inputs.find((input) => input.name === name)?.range;
  const [, steps] = rangeOf('steps') ?? [];
  const { batch, classes } = samplesOf(model.manifest);
  // As many as are drawn at once.
  const last = Math.min(batch, classes) - 1;
  $('classes').value = last ? `0-${last}` : '0';
  $('steps').value = Math.min(options.steps, steps ? steps - 1 : options.steps);
  if (steps) $('steps').max = steps - 1;
  else $('steps').disabled = true;
  $('cfg').value = options.cfg ?? 1;
  $('cfg').disabled = options.cfg === 1;
  const known = samplers.length ? samplers : [options.sampler];
  $('sampler').replaceChildren(...known.map((name) => made('option', {}, String(name))));
  $('sampler').value = options.sampler;
  $('sampler').disabled = known.length < 2;
  $('form').addEventListener('submit', (event) => {
    event.preventDefault();
    void draw(model, kindOf(file));
  });
  $('stop').addEventListener('click', () => stopping?.abort());
  $('save').addEventListener('click', async () => saveFile('pictures.png', await pngOf(sheetOf(canvases, COLUMNS))));
  report.say('ready');
}

function lay(classes, { one }) {
  canvases = classes.map((label) =>
    made('canvas', { width: 1, height: 1, role: 'img', 'aria-label': `${one} of class ${label}` }),
  );
  const figures = canvases.map((canvas, i) => {
    const save = made('button', {
      type: 'button',
      class: 'save',
      disabled: '',
      'aria-label': `Save ${one.toLowerCase()} ${i + 1}, of class ${classes[i]}`,
    });
    save.textContent = `${classes[i]} ↓`;
    save.addEventListener('click', async () => saveFile(`class-${classes[i]}-${i}.png`, await pngOf(canvas)));
    return made('figure', { role: 'listitem' }, canvas, save);
  });
  $('pictures').replaceChildren(...figures);
}

function busy(isBusy) {
  $('start').disabled = isBusy;
  $('stop').disabled = !isBusy;
  $('pictures').setAttribute('aria-busy', isBusy);
  report.show(isBusy ? 0 : undefined);
}

async function draw(model, kind) {
  const classes = classesIn($('classes').value);
  const chosen = { seed: Number($('seed').value), steps: Number($('steps').value), sampler: $('sampler').value };
  stopping = new AbortController();
  report.clear();
  busy(true);
  $('save').disabled = true;
  report.say('compiling');
  const start = performance.now();
  const { batch } = samplesOf(model.manifest);
  let [taken, waiting, first] = [0, 0];
  const isAll = () => taken === -1;
  // Steps are queued ahead: one is done when what it expects is there to be seen.
  const tell = (done, total) => {
    report.show(done / total);
    const each = done > 1 ? `, ${timeText((performance.now() - first) / (done - 1))} a step` : '';
    report.say(`${placeOf(done, total, classes.length, batch)}${each}`);
  };
  const onStep = (done, total, look) => {
    if (!taken) lay(classes, kind);
    first ??= performance.now();
    taken = done;
    if (!look) return tell(done, total);
    // What cannot be painted as fast as it is computed is passed over.
    if (waiting === LOOKS) return;
    waiting++;
    look()
      .then((seen) => {
        if (isAll()) return;
        tell(done, total);
        paintAll(canvases, seen, kind.range, seen.first);
      })
      .catch(() => {})
      .finally(() => waiting--);
  };
  try {
    const cfg = Number($('cfg').value);
    const pictures = await model.sample({ ...chosen, cfg, classes, onStep, signal: stopping.signal });
    const [took, steps] = [performance.now() - start, taken];
    taken = -1;
    paintAll(canvases, pictures, kind.range);
    for (const save of document.querySelectorAll('#save, #pictures .save')) save.disabled = false;
    report.say(`${classes.length} ${kind.many} in ${timeText(took)}, ${timeText(took / steps)} a step`);
  } catch (error) {
    taken = -1;
    if (stopping.signal.aborted && error === stopping.signal.reason) report.say('stopped');
    else report.fail(error);
  } finally {
    busy(false);
  }
}
