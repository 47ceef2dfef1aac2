/**
 * Kernels that do the same to buffers of different lengths are one kernel: what a kernel knows of the sizes of a model is in its
 * body (strides, trip counts, edges), and where bodies agree, only the grid and the lengths of the arrays differ.
 */
import type { Buffer, Kernel } from '../kernel/ir.ts';
import { printKernel } from '../target/wgsl.ts';

/** What the body calls by name, and what has names of its own. */
const HELPER = /^(?:var<private> .*\n|fn (?!main\b)\w+\([^]*?^}\n)/gm;
const DECLARATION = /(?:var(?:<[^>]*>)?|let|fn) (\w+)/g;

/** What a kernel does, without the names that it has for things and without the lengths of its buffers. */
export function fingerprint(kernel: Kernel): string {
  const text = printKernel({ ...kernel, buffers: kernel.buffers.map(unsized) }, []).replace(HELPER, '');
  const declared = new Set([...text.matchAll(DECLARATION)].map(([, name]) => name));
  const numbers = new Map<string, number>();
  // Not what follows a digit or a point: the exponent of 1e21 and the x of group.x are no names.
  return text.replace(/(?<![\w.])[A-Za-z_]\w*/g, (word) => {
    if (!declared.has(word)) return word;
    if (!numbers.has(word)) numbers.set(word, numbers.size);
    return `$${numbers.get(word)}`;
  });
}

/** A kernel for the buffers of two of one fingerprint. */
export function forBoth(kernel: Kernel, other: Kernel): Kernel {
  const buffers = kernel.buffers.map((buffer, i) => {
    const { elements } = other.buffers[i];
    if (elements === buffer.elements) return buffer;
    return unsized({ ...buffer, elements: Math.min(elements, buffer.elements) });
  });
  return { ...kernel, buffers };
}

const unsized = (buffer: Buffer): Buffer => ({ ...buffer, unsized: true });
