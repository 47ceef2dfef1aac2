/** A page to begin with: loads the model of this folder, draws pictures of the classes that are asked for, and lets them be saved. */
import { load } from './index.js';

const $ = (id) => document.getElementById(id);
const MB = 2 ** 20;

function say(text, isError = false) {
  $('status').textContent = text;
  $('status').classList.toggle('error', isError);
}

function fact(name, value) {
  const [term, definition] = [document.createElement('dt'), document.createElement('dd')];
  term.textContent = name;
  definition.textContent = value;
  $('facts').append(term, definition);
}

/** One bar for all: bytes, then kernels. */
function onProgress({ phase, bytes, totalBytes, kernels, totalKernels }) {
  const done = totalKernels ? (bytes / totalBytes + kernels / totalKernels) / 2 : bytes / totalBytes / 2;
  $('bar').value = phase === 'ready' ? 1 : done;
  const compiled = totalKernels ? `, ${kernels} of ${totalKernels} kernels compiled` : '';
  if (phase !== 'ready') say(`${(bytes / MB).toFixed(1)} of ${(totalBytes / MB).toFixed(1)} MiB${compiled}`);
}

/** Paints one picture [channels, height, width] of values in `range`; of two or more than four channels, the first alone. */
function paint(canvas, values, [channels, height, width], [least, most]) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  const size = width * height;
  const isColour = channels === 3 || channels === 4;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = values[(isColour ? c : 0) * size + i];
      image.data[4 * i + c] = Math.round((255 * (value - least)) / (most - least));
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Pictures with their labels, each a link that saves it. */
function show({ data, shape: [count, ...picture] }, classes) {
  const size = picture.reduce((n, side) => n * side, 1);
  const figures = Array.from({ length: count }, (_, i) => {
    const figure = document.createElement('figure');
    const canvas = document.createElement('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Picture of class ${classes[i]}`);
    paint(canvas, data.subarray(i * size, (i + 1) * size), picture, [-1, 1]);
    const save = document.createElement('a');
    save.textContent = `class ${classes[i]}: save`;
    save.href = '#';
    save.addEventListener('click', (event) => {
      event.preventDefault();
      canvas.toBlob((blob) => {
        const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob) });
        link.download = `class-${classes[i]}-${i}.png`;
        link.click();
        URL.revokeObjectURL(link.href);
      });
    });
    figure.append(canvas, save);
    return figure;
  });
  $('pictures').replaceChildren(...figures);
}

let stopping;

async function draw(model, event) {
  event.preventDefault();
  const classes = $('classes')
    .value.split(/[\s,]+/)
    .filter(Boolean)
    .map(Number);
  stopping = new AbortController();
  $('draw').disabled = true;
  $('stop').disabled = false;
  $('bar').value = 0;
  const start = performance.now();
  let steps = 0;
  const onStep = (done, total) => {
    steps = total;
    $('bar').value = done / total;
    say(`step ${done} of ${total}`);
  };
  try {
    const seed = Number($('seed').value);
    const cfg = $('cfg').value === '' ? undefined : Number($('cfg').value);
    const pictures = await model.sample({ classes, seed, cfg, onStep, signal: stopping.signal });
    show(pictures, classes);
    const took = performance.now() - start;
    say(`${classes.length} pictures in ${(took / 1000).toFixed(1)} s, ${(took / steps).toFixed(0)} ms a step`);
  } catch (error) {
    if (stopping.signal.aborted) say('stopped');
    else say(error.message, true);
  } finally {
    $('draw').disabled = false;
    $('stop').disabled = true;
  }
}

try {
  const model = await load({ onProgress, onNote: (note) => fact('note', note) });
  const { model: name, options = {}, entries } = model.manifest;
  document.title = $('title').textContent = name;
  for (const [key, value] of Object.entries(options)) fact(key, String(value));
  fact('kernels a step', String(entries.sampleStep?.dispatches.length ?? '–'));
  if (entries.sampleStep) {
    $('cfg').value = options.cfg ?? '';
    $('form').hidden = false;
    $('form').addEventListener('submit', (event) => void draw(model, event));
    $('stop').addEventListener('click', () => stopping?.abort());
    say('ready');
  } else say(`${name} is loaded: its entries are ${Object.keys(entries).join(', ')}`);
} catch (error) {
  $('title').textContent = 'This model cannot run here';
  say(error.message, true);
}
