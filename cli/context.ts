/** What a command gets from main. */
import type { Pass } from '../compiler/pipeline.ts';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  /** Set by a command that ended in order but found something wrong. */
  exitCode: number;
  /** Passes after those of the pipeline, known to `ditc opt` by name. For tests of what happens when a pass fails. */
  readonly passes?: readonly Pass[];
}

/** `Examples:` at the end of a command's help. */
export const examples = (...lines: readonly string[]): string =>
  ['', 'Examples:', ...lines.map((line) => `  $ ${line}`)].join('\n');
