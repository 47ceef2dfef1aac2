/** The errors of loading in a page: each says what the person in front of it, or the one who runs the server, can do. */
import { RuntimeError, type RuntimeErrorParts } from '../error.ts';
import { page } from './page.ts';

/** Thrown by `load` of a page; `code` is one of `no-webgpu`, `no-adapter`, `network`, `damaged`, `limit`, `wrong-values`. */
export const loadError = (parts: RuntimeErrorParts): RuntimeError => new RuntimeError(parts);

export const noWebGpu = (): RuntimeError =>
  loadError({
    code: 'no-webgpu',
    what: 'this browser has no WebGPU',
    why: page.isSecureContext === false ? 'it offers it to pages from https or localhost only' : undefined,
    fix: 'use Chrome or Edge 121, Firefox 141, Safari 26, or newer',
  });

export const noAdapter = (): RuntimeError =>
  loadError({
    code: 'no-adapter',
    what: 'the browser gives no GPU',
    why: 'its driver may be on the browser’s block list, or graphics acceleration is switched off',
    fix: 'switch acceleration on in the browser’s settings and update the driver; chrome://gpu and about:support say more',
  });
