/** The tab that says what runs: the GPU, the variant and why, the memory, and every kernel with its source lines and WGSL. */
import { $, bytesText, describe, made } from './shared.js';

const LOOP = 'sampleStep';

export function openInside(model) {
  const { manifest } = model;
  const { device, model: name, entries, options = {}, params } = manifest;
  const entry = Object.hasOwn(entries, LOOP) ? LOOP : Object.keys(entries)[0];
  const weights = params.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);
  describe($('facts'), {
    GPU: model.adapter,
    variant: `${model.variant}, compiled for ${device}`,
    why: model.notes.join('; '),
    model: `${name}, ${weights.toLocaleString('en')} weights, batch ${options.batch}, ${options.dtype ?? 'f32'}`,
    memory: `${bytesText(model.bytes)} on the GPU`,
    computes: `${(entries[entry].macs / 1e6).toLocaleString('en', { maximumFractionDigits: 0 })} million multiply-adds a step`,
  });
  const kernels = kernelsOf(entries[entry]);
  const { dispatches } = entries[entry];
  const ops = dispatches.reduce((sum, dispatch) => sum + dispatch.ops.length, 0);
  $('fused').textContent = `${ops} operations of the model in ${dispatches.length} runs of ${kernels.length} kernels`;
  $('kernels').replaceChildren(...kernels.map((kernel) => shown(kernel, model.wgsl)));
}

/** Each kernel once, in the order in which they run first. */
function kernelsOf({ dispatches }) {
  const kernels = new Map();
  for (const { kernel, ops, source } of dispatches) {
    const known = kernels.get(kernel) ?? { name: kernel, ops, sources: new Set(), count: 0 };
    known.count++;
    for (const line of source) known.sources.add(line);
    kernels.set(kernel, known);
  }
  return [...kernels.values()];
}

/** A kernel's line; its text is put in when it is opened. */
function shown({ name, ops, sources, count }, wgsl) {
  const summary = made(
    'summary',
    {},
    made('code', {}, name),
    made('span', {}, `${count}×`),
    made('span', {}, ops.join(' · ')),
  );
  const details = made('details', {}, summary);
  details.addEventListener(
    'toggle',
    () => {
      const lines = made('p', {}, [...sources].join(', '));
      details.append(lines, made('pre', { tabindex: '0', 'aria-label': `WGSL of ${name}` }, wgsl.get(name)));
    },
    { once: true },
  );
  return details;
}
