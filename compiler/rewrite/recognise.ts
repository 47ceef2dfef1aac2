/** The pass that applies the rules of rules/*.rules: algebra that changes the computation, found in what models wrote. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Graph } from '../ir/index.ts';
import { applyRules, type RewriteStats } from './engine.ts';
import { parseRules } from './rule-parse.ts';
import type { Rule } from './rule.ts';

const FOLDER = new URL('rules/', import.meta.url);

/** Every rule there is, by file and then in the order written. */
export const RULES: readonly Rule[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.rules'))
  .sort()
  .flatMap((file) => {
    const url = new URL(file, FOLDER);
    return parseRules(readFileSync(url, 'utf8'), fileURLToPath(url));
  });

/** As a device has them; a DeviceSpec is one. */
interface Limits {
  readonly limits: Readonly<Record<string, number>>;
}

/** What WebGPU promises of every device. */
const MIN_BINDING_BYTES = 2 ** 27;

export function recognise(graph: Graph, device: Limits, stats?: RewriteStats): Graph {
  const maxBindingBytes = device.limits.maxStorageBufferBindingSize ?? MIN_BINDING_BYTES;
  return applyRules(graph, RULES, { maxBindingBytes, stats });
}
