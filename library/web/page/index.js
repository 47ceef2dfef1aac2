/** A model built by ditc. Serve this folder, and import this module from a page. */
export { load as loadFrom, RuntimeError } from './runtime.js';
import { load as loadFrom } from './runtime.js';

/** Loads the model of this folder: see index.d.ts. */
export const load = (options) => loadFrom(new URL('.', import.meta.url), options);

/** Loads what this folder trains, with its data: see index.d.ts. */
export async function openTrainer(options) {
  const { openTrainer: open } = await import('./training.js');
  return open(loadFrom, new URL('train/', import.meta.url), options);
}
