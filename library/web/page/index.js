/** A model built by ditc. Serve this folder, and import this module from a page. */
export { load as loadFrom, RuntimeError } from './runtime.js';
import { load as loadFrom } from './runtime.js';

/** Loads the model of this folder: see index.d.ts. */
export const load = (options) => loadFrom(new URL('.', import.meta.url), options);
