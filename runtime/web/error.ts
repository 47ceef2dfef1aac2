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
    fix: page.isSecureContext === false ? 'open the page by https' : adviceFor(page.navigator?.userAgent ?? ''),
  });

/** What to do for WebGPU, by what a browser says it is. Order matters: most say that they are several. */
export function adviceFor(agent: string): string {
  const [, chrome] = /Chrome\/(\d+)/.exec(agent) ?? [];
  if (/Firefox\//.test(agent))
    return 'update to Firefox 141 (Windows) or 145 (macOS); elsewhere set dom.webgpu.enabled in about:config, or use Chrome';
  if (chrome !== undefined && Number(chrome) < 113) return 'update to Chrome 113 or newer, or Edge 113';
  if (chrome !== undefined)
    return 'switch graphics acceleration on in the settings; on Linux, enable “Unsafe WebGPU Support” and Vulkan in chrome://flags';
  if (/Safari\//.test(agent)) return 'update to Safari 26, of iOS 26 or macOS 26, or use Chrome';
  return 'use Chrome or Edge 121, Firefox 141, Safari 26, or newer';
}

export const noAdapter = (): RuntimeError =>
  loadError({
    code: 'no-adapter',
    what: 'the browser gives no GPU',
    why: 'its driver may be on the browser’s block list, or graphics acceleration is switched off',
    fix: 'switch acceleration on in the browser’s settings and update the driver; chrome://gpu and about:support say more',
  });
