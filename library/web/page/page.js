/** A page to begin with: loads the model of this folder, draws from it, trains it where data comes with it, and shows what runs. */
import { load } from './index.js';
import { openDrawing } from './draw.js';
import { openInside } from './inside.js';
import { $, bytesText, modelFile, Report, shareOf } from './shared.js';
import { openTabs } from './tabs.js';
import { openTraining } from './train.js';

/** Failures of the browser or the GPU; others may be gone the next time. */
const UNFIT = ['no-webgpu', 'no-adapter', 'limit', 'wrong-values'];

const report = new Report($('loading'));

/** One bar for all: bytes that came in, those that are on the GPU, kernels. */
function onProgress({ phase, bytes, totalBytes, uploaded, totalUploaded, kernels, totalKernels }) {
  const shares = [shareOf(bytes, totalBytes), shareOf(kernels, totalKernels)];
  if (totalUploaded) shares.push(shareOf(uploaded, totalUploaded));
  report.show(phase === 'ready' ? 1 : shares.reduce((sum, share) => sum + share) / shares.length);
  const compiled = totalKernels ? `, ${kernels} of ${totalKernels} kernels compiled` : '';
  const onGpu = uploaded ? `, ${bytesText(uploaded)} on the GPU` : '';
  if (phase !== 'ready') report.say(`${bytesText(bytes)} of ${bytesText(totalBytes)}${onGpu}${compiled}`);
}

/** Notes that come while nothing else is said. */
const onNote = (note) => report.say(note);

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
  report.show();
  const others = draws ? '' : `its entries are ${Object.keys(model.manifest.entries).join(', ')}`;
  report.say(model.notes.find((note) => /not kept/.test(note)) ?? others);
} catch (error) {
  report.show();
  if (cancelling.signal.aborted && error === cancelling.signal.reason) {
    $('title').textContent = 'Not loaded';
    report.say('Cancelled. Reload the page to load the model after all.');
  } else {
    $('title').textContent = UNFIT.includes(error.code) ? 'This model cannot run here' : 'Not loaded';
    report.fail(error);
  }
}
