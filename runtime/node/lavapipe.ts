/**
 * The width of lavapipe's vectors. Mesa takes 256 bits unless told; a CPU with AVX-512 computes products 1.2 to 1.6 times as
 * fast with 512 (bench/gemm.ts, Sapphire Rapids, Mesa 25.0.7), so there they are used, unless the user has chosen.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheFolder, makeFolder } from './cache.ts';

/** Bits of lavapipe's vectors. Mesa reads it when the device is listed, and again for each shader that it compiles. */
const WIDTH = 'LP_NATIVE_VECTOR_WIDTH';
const CACHE = 'MESA_SHADER_CACHE_DIR';
/** What Mesa takes by itself. */
const USUAL = '256';

/** Whether the adapter is Mesa's software Vulkan. */
export const isLavapipeAdapter = ({ description }: GPUAdapterInfo): boolean => /llvmpipe/i.test(description);

/** What the user chose, before this module sets it. */
const given = process.env[WIDTH] ?? '';
let variables: Record<string, string> | undefined;

/** The variables that lavapipe should find while its devices are listed. */
export const lavapipeVariables = (): Record<string, string> => (variables ??= choose());

/**
 * Leaves the variables in place for good, since Mesa compiles at any time. Child processes inherit width and cache together,
 * and so agree with each other.
 */
export function keepVectors(): void {
  Object.assign(process.env, lavapipeVariables());
}

function choose(): Record<string, string> {
  const width = given || (hasAvx512() ? '512' : USUAL);
  if (width === USUAL) return {};
  // Mesa's cache of compiled shaders does not tell widths apart (25.0.7): a kernel compiled for 8 lanes would be run as if
  // it had 16, and compute half of its results. So each width has a cache of its own.
  try {
    const own = `vectors-${Number(width)}`;
    const cache = process.env[CACHE] || path.join(cacheFolder(), 'shaders');
    const folder = path.basename(cache) === own ? cache : path.join(cache, own);
    makeFolder(folder);
    return { [WIDTH]: width, [CACHE]: folder };
  } catch {
    return { [WIDTH]: width, MESA_SHADER_CACHE_DISABLE: 'true' };
  }
}

/** How wide lavapipe's vectors are and why, for people. */
export function vectorsOf({ subgroupMaxSize: lanes }: GPUAdapterInfo): string {
  if (!lanes) return '';
  const reason = given ? ` (${WIDTH} is ${given})` : hasAvx512() ? ' (the CPU has AVX-512)' : '';
  return `, with vectors of ${32 * lanes} bits${reason}`;
}

let avx512: boolean | undefined;

/** Whether the CPU has all of AVX-512 that vectors of 512 bits of any type need. */
function hasAvx512(): boolean {
  const flags = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'];
  return (avx512 ??= flags.every((flag) => cpuFlags().has(flag)));
}

function cpuFlags(): Set<string> {
  try {
    return new Set(/^flags\s*:(.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[1].trim().split(/\s+/));
  } catch {
    return new Set();
  }
}
