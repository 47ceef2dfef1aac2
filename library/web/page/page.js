/** A page to begin with: loads the model of this folder, draws from it, trains it where data comes with it, and shows what runs. */
import { load } from './index.js';
import { openDrawing } from './draw.js';
import { openInside } from './inside.js';
import { $, bytesText, modelFile, say, showProblem } from './shared.js';
import { openTabs } from './tabs.js';
import { openTraining } from './train.js';

/** One bar for all: bytes, then kernels. */
function onProgress({ phase, bytes, totalBytes, kernels, totalKernels }) {
  const shareOf = (done, total) => (total ? done / total : 0);
  $('bar').value = phase === 'ready' ? 1 : (shareOf(bytes, totalBytes) + shareOf(kernels, totalKernels)) / 2;
  const compiled = totalKernels ? `, ${kernels} of ${totalKernels} kernels compiled` : '';
  if (phase !== 'ready') say(`${bytesText(bytes)} of ${bytesText(totalBytes)}${compiled}`);
}

/** Notes that come while nothing else is said. */
const onNote = (note) => say(note);

const cancelling = new AbortController();
$('cancel').addEventListener('click', () => cancelling.abort());

try {
  const entries = ['sampleStart', 'sampleStep'];
  const model = await load({ onProgress, onNote, signal: cancelling.signal });
  const { model: name } = model.manifest;
  document.title = $('title').textContent = name;
  $('about').textContent = `compiled by ditc, runs on ${model.adapter} as ${model.variant}`;
  const draws = entries.every((entry) => Object.hasOwn(model.manifest.entries, entry));
  const file = await modelFile();
  if (draws) openDrawing(model, file);
  openInside(model);
  openTabs(draws ? 'draw' : 'inside', { draw: draws, train: openTraining(model, file), inside: true });
  $('loading').hidden = true;
  const unkept = model.notes.find((note) => /not kept/.test(note));
  say(unkept ?? (draws ? 'ready' : `its entries are ${Object.keys(model.manifest.entries).join(', ')}`));
} catch (error) {
  $('loading').hidden = true;
  if (cancelling.signal.aborted && error === cancelling.signal.reason) {
    $('title').textContent = 'Not loaded';
    say('Cancelled. Reload the page to load the model after all.');
  } else {
    $('title').textContent = 'This model cannot run here';
    say('');
    showProblem(error);
  }
}
